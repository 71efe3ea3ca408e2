// A stage's state: slots of recurrent state, pages of KV caches.
#include <algorithm>

#include "scheduler/run/stage.h"

namespace switchyard::scheduler {

using namespace hal;
using Role = models::Binding::Role;

namespace {

constexpr std::int64_t first_slots = 4, first_pages = 8;

}  // namespace

Status Stage::grow(StateBuffer& state, std::int64_t count) {
  if (count <= state.count) return ok();
  const std::int64_t now = std::max(count, state.count * 2);
  HAL_TRY(BufferRef bigger, device().allocate({state.unit * static_cast<Bytes>(now), Memory::device, "state"}));
  std::vector<Command> commands;
  if (state.buffer) {
    Bytes old = state.unit * static_cast<Bytes>(state.count);
    commands.emplace_back(Copy{{state.buffer, 0, old}, {bigger, 0, old}});
  } else {
    commands.emplace_back(Fill{{bigger, 0, state.unit}, 0});  // slot 0 holds zeros for good
  }
  HAL_TRY(TimelineRef done, device().create_timeline(0));
  HAL_CHECK(shared_->queue->submit({{}, commands, {{done, 1}}}));
  HAL_CHECK(done->wait(1, std::chrono::nanoseconds::max()));
  state.buffer = std::move(bigger);
  state.count = now;
  return ok();
}

Status Stage::reserve_first() {
  for (StateBuffer& s : rows_)
    HAL_CHECK(grow(s, options_.sessions ? options_.sessions * rewind_states : rewind_states));
  if (options_.sessions == 0) return reserve_slots(first_slots);
  HAL_CHECK(reserve_slots(options_.sessions * (1 + kept_states(options_)) + 1));
  for (StateBuffer& s : states_)
    if (s.paged()) HAL_CHECK(grow(s, options_.sessions * step_shape(options_).pages_per_sequence));
  return ok();
}

Status Stage::reserve_slots(std::int64_t slots) {
  for (StateBuffer& s : states_)
    if (!s.paged()) HAL_CHECK(grow(s, slots));
  return ok();
}

Status Stage::reserve_pages(std::uint64_t sequence, std::int64_t tokens) {
  if (!paged()) return ok();
  auto& mine = pages_[sequence];
  while (static_cast<std::int64_t>(mine.size()) * options_.page_size < tokens) mine.push_back(page_pool_.take());
  const std::int64_t least = fixed_ || options_.sessions ? 0 : first_pages;
  for (StateBuffer& s : states_)
    if (s.paged()) HAL_CHECK(grow(s, std::max<std::int64_t>(page_pool_.end(), least)));
  return ok();
}

Status Stage::reserve_state(const StepTables& step, std::vector<Command>& commands) {
  std::vector<std::pair<std::int32_t, std::int32_t>> copies;  // of pages
  for (const StepSequence& s : step.sequences) {
    HAL_CHECK(reserve_slots(s.table.slot_out + 1));
    if (!paged()) continue;
    auto& mine = pages_[s.sequence];
    for (auto i = static_cast<std::size_t>(s.table.past / options_.page_size); i < mine.size(); ++i) {
      if (!page_pool_.shared(mine[i])) continue;
      const std::int32_t own = page_pool_.take();
      copies.emplace_back(mine[i], own);
      page_pool_.give_back(mine[i]);
      mine[i] = own;
    }
    HAL_CHECK(reserve_pages(s.sequence, s.table.past + s.table.rows));
  }
  for (const auto& [from, to] : copies)
    for (const StateBuffer& s : states_)
      if (s.paged())
        commands.emplace_back(Copy{{s.buffer, static_cast<Bytes>(from) * s.unit, s.unit},
                                   {s.buffer, static_cast<Bytes>(to) * s.unit, s.unit}});
  return ok();
}

void Stage::truncate(std::uint64_t sequence, std::int64_t tokens) {
  auto found = pages_.find(sequence);
  if (found == pages_.end()) return;
  while (!found->second.empty() && static_cast<std::int64_t>(found->second.size() - 1) * options_.page_size >= tokens) {
    page_pool_.give_back(found->second.back());
    found->second.pop_back();
  }
}

void Stage::forget(std::uint64_t sequence) {
  truncate(sequence, 0);
  pages_.erase(sequence);
}

void Stage::fork(std::uint64_t sequence, std::uint64_t copy) {
  if (!paged()) return;
  const std::vector<std::int32_t>& pages = pages_[copy] = pages_[sequence];
  for (std::int32_t page : pages) page_pool_.share(page);
}

Status Stage::save(std::uint64_t sequence, std::int32_t slot, std::int64_t past,
                   std::map<std::int64_t, LayerState>& layers) const {
  for (const StateBuffer& s : states_) {
    LayerState& l = layers[s.binding.layer];
    if (!s.paged()) {
      auto& to = s.binding.role == Role::conv_window ? l.conv_window : l.ssm_state;
      to.resize(s.unit);
      HAL_CHECK(s.buffer->read(s.unit * static_cast<Bytes>(slot), to));
      continue;
    }
    auto& to = s.binding.role == Role::k_pages ? l.k : l.v;
    const Bytes row = s.unit / static_cast<Bytes>(options_.page_size);
    to.resize(row * static_cast<Bytes>(past));
    const auto pages = pages_.find(sequence);
    for (std::int64_t done = 0; done < past; done += options_.page_size) {
      const std::int64_t n = std::min(options_.page_size, past - done);
      const auto page = static_cast<Bytes>(pages->second[static_cast<std::size_t>(done / options_.page_size)]);
      HAL_CHECK(s.buffer->read(page * s.unit,
                               std::span(to).subspan(row * static_cast<Bytes>(done), row * static_cast<Bytes>(n))));
    }
  }
  return ok();
}

Status Stage::restore(std::uint64_t sequence, std::int32_t slot, std::int64_t past,
                      const std::map<std::int64_t, LayerState>& layers) {
  HAL_CHECK(reserve_slots(slot + 1));
  HAL_CHECK(reserve_pages(sequence, past));
  for (const StateBuffer& s : states_) {
    auto found = layers.find(s.binding.layer);
    if (found == layers.end())
      return Error{Code::invalid_argument, "sequence state has nothing for layer " + std::to_string(s.binding.layer)};
    const LayerState& l = found->second;
    auto wrong = [&](const char* what, std::size_t have, Bytes need) {
      return Error{Code::invalid_argument, std::string("sequence state of layer ") + std::to_string(s.binding.layer) +
                                               ": " + what + " has " + std::to_string(have) + " bytes, needs " +
                                               std::to_string(need)};
    };
    if (!s.paged()) {
      const auto& from = s.binding.role == Role::conv_window ? l.conv_window : l.ssm_state;
      if (from.size() != s.unit) return wrong("recurrent state", from.size(), s.unit);
      HAL_CHECK(s.buffer->write(s.unit * static_cast<Bytes>(slot), from));
      continue;
    }
    const auto& from = s.binding.role == Role::k_pages ? l.k : l.v;
    const Bytes row = s.unit / static_cast<Bytes>(options_.page_size);
    if (from.size() != row * static_cast<Bytes>(past))
      return wrong("KV cache", from.size(), row * static_cast<Bytes>(past));
    for (std::int64_t done = 0; done < past; done += options_.page_size) {
      const std::int64_t n = std::min(options_.page_size, past - done);
      const auto page = static_cast<Bytes>(pages_[sequence][static_cast<std::size_t>(done / options_.page_size)]);
      HAL_CHECK(s.buffer->write(page * s.unit,
                                std::span(from).subspan(row * static_cast<Bytes>(done), row * static_cast<Bytes>(n))));
    }
  }
  return ok();
}

Bytes Stage::state_bytes() const {
  Bytes sum = 0;
  for (const auto* list : {&states_, &rows_})
    for (const StateBuffer& s : *list) sum += s.buffer ? s.buffer->bytes() : 0;
  return sum;
}

Bytes Stage::used_bytes(std::int64_t slots, std::int64_t blocks) const {
  Bytes sum = 0;
  for (const StateBuffer& s : rows_) sum += s.unit * static_cast<Bytes>(blocks);
  for (const StateBuffer& s : states_) sum += s.unit * static_cast<Bytes>(s.paged() ? pages_used() : slots);
  return sum;
}

bool Stage::recurrent() const {
  return std::any_of(states_.begin(), states_.end(), [](const StateBuffer& s) { return !s.paged(); });
}

bool Stage::paged() const {
  return std::any_of(states_.begin(), states_.end(), [](const StateBuffer& s) { return s.paged(); });
}

}  // namespace switchyard::scheduler
