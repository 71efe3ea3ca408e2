#include "scheduler/run/executor.h"

#include <algorithm>
#include <set>

namespace switchyard::scheduler {

using namespace hal;

Sequence::~Sequence() { executor_.forget(*this); }

Result<std::unique_ptr<Executor>> Executor::open(models::Model model, std::vector<DeviceRef> devices,
                                                 const ExecutorOptions& options) {
  std::unique_ptr<Executor> executor(new Executor(std::move(model), options));
  const std::int64_t units = models::unit_count(executor->model_);
  if (static_cast<std::int64_t>(devices.size()) != units)
    return Error{Code::invalid_argument,
                 "executor: " + std::to_string(devices.size()) + " devices for " + std::to_string(units) + " units"};
  for (const auto& [layer, placement] : options.experts)
    if (layer < 0 || layer >= executor->model_.config.layers || executor->model_.config.experts == 0)
      return Error{Code::invalid_argument, "executor: experts of layer " + std::to_string(layer) + " are shared; " +
                                               executor->model_.name + " has " +
                                               std::to_string(executor->model_.config.layers) + " layers of " +
                                               std::to_string(executor->model_.config.experts) + " experts"};
  if (options.checkpoints < 0 || options.rewind < 0 || options.rewind > options.max_rows)
    return Error{Code::invalid_argument, "executor: " + std::to_string(options.checkpoints) +
                                             " checkpoints and a rewind of " + std::to_string(options.rewind) +
                                             " tokens; both must be at least 0, the rewind at most the " +
                                             std::to_string(options.max_rows) + " rows of a step"};
  auto alone = [&](std::int64_t unit) { return shared_experts(options, executor->model_, unit, unit + 1) != nullptr; };
  for (std::int64_t first = 0; first < units;) {
    std::int64_t last = first + 1;
    while (!alone(first) && last < units && !alone(last) &&
           devices[static_cast<std::size_t>(last)] == devices[static_cast<std::size_t>(first)])
      ++last;
    DeviceRef device = devices[static_cast<std::size_t>(first)];
    if (options.progress)
      options.progress("loading " + device->info().id, static_cast<double>(first) / static_cast<double>(units));
    auto shared = std::find_if(executor->devices_.begin(), executor->devices_.end(),
                               [&](const auto& known) { return known->device == device; });
    if (shared == executor->devices_.end()) {
      HAL_TRY(auto made, SharedDevice::make(device));
      shared = executor->devices_.insert(shared, std::move(made));
    }
    HAL_TRY(auto stage, Stage::make(*shared, executor->model_, first, last, options));
    executor->stages_.push_back(std::move(stage));
    first = last;
  }
  if (options.progress) options.progress("loaded", 1.0);
  executor->rewinds_ = options.rewind > 0;
  for (const auto& stage : executor->stages_) {
    if (!stage->recurrent()) continue;
    executor->recurrent_ = true;
    executor->rewinds_ = executor->rewinds_ && stage->rewinds();
  }
  executor->seconds_.resize(executor->stages_.size(), 0.0);
  executor->other_seconds_ = executor->seconds_;
  return executor;
}

Result<std::unique_ptr<Sequence>> Executor::create_sequence() {
  return std::unique_ptr<Sequence>(new Sequence(*this, next_sequence_++));
}

Status check_tokens(std::span<const std::int32_t> tokens, std::int64_t vocab) {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocab)
      return Error{Code::invalid_argument, "token " + std::to_string(tokens[i]) + " at position " + std::to_string(i) +
                                               " is outside the vocabulary of " + std::to_string(vocab) + " (0 .. " +
                                               std::to_string(vocab - 1) + ")"};
  return ok();
}

Status Executor::check(const StepItem& item) const {
  if (!item.sequence || item.tokens.empty())
    return Error{Code::invalid_argument, "step: an item without sequence or tokens"};
  HAL_CHECK(check_tokens(item.tokens, model_.config.vocab));
  auto length = static_cast<std::int64_t>(item.sequence->log_.size() + item.tokens.size());
  if (length > options_.context)
    return Error{Code::invalid_argument,
                 "sequence " + std::to_string(item.sequence->id_) + " would have " + std::to_string(length) +
                     " tokens; this executor was opened for a context of " + std::to_string(options_.context)};
  return ok();
}

Status Executor::check(std::span<const StepItem> items) const {
  std::int64_t rows = 0;
  std::set<const Sequence*> seen;
  for (const StepItem& item : items) {
    HAL_CHECK(check(item));
    if (!seen.insert(item.sequence).second)
      return Error{Code::invalid_argument,
                   "step: sequence " + std::to_string(item.sequence->id_) + " stands in it twice"};
    rows += static_cast<std::int64_t>(item.tokens.size());
  }
  if (items.empty()) return Error{Code::invalid_argument, "step: no items"};
  if (rows > options_.max_rows)
    return Error{Code::invalid_argument, "step: " + std::to_string(rows) + " rows; at most " +
                                             std::to_string(options_.max_rows) + " (use feed)"};
  if (static_cast<std::int64_t>(items.size()) > options_.max_sequences)
    return Error{Code::invalid_argument, "step: " + std::to_string(items.size()) + " sequences; at most " +
                                             std::to_string(options_.max_sequences)};
  return ok();
}

Result<StepResult> Executor::step(std::span<const StepItem> items) {
  HAL_CHECK(check(items));
  HAL_CHECK(replay_stale(items));
  return run(items);
}

Status Executor::replay_stale(std::span<const StepItem> items) {
  for (const StepItem& item : items)
    if (item.sequence->stale_) HAL_CHECK(replay(*item.sequence));
  return ok();
}

StepTables Executor::begin_step(std::span<const StepItem> items) {
  StepTables tables;
  std::size_t all = 0;
  for (const StepItem& item : items) all += item.tokens.size();
  for (const StepItem& item : items) {
    Sequence& s = *item.sequence;
    Sequence::Checkpoint* block =
        keep_way_back(s, static_cast<std::int64_t>(item.tokens.size()), static_cast<std::int64_t>(all));
    s.next_slot_ = slots_.shared(s.state_slot_) ? slots_.take() : s.state_slot_;
    const auto past = static_cast<std::int32_t>(s.log_.size()), row = static_cast<std::int32_t>(tables.tokens.size());
    const auto n = static_cast<std::int32_t>(item.tokens.size());
    StepSequence& of = tables.sequences.emplace_back();
    of.sequence = s.id_;
    of.table = {row, n, s.state_slot_, s.next_slot_, past};
    if (block) {
      of.block = block->block;
      of.block_row = static_cast<std::int32_t>(block->rows());
      block->steps.push_back(n);
    }
    tables.tokens.insert(tables.tokens.end(), item.tokens.begin(), item.tokens.end());
    for (std::int32_t i = 0; i < n; ++i) {
      tables.positions.push_back(past + i);
      if (item.logits == WantLogits::all || (item.logits == WantLogits::last && i == n - 1))
        tables.logit_rows.push_back(row + i);
    }
  }
  return tables;
}

Result<StepResult> Executor::read_logits(std::span<const StepItem> items, const Slice& all) const {
  StepResult result;
  const auto vocab = static_cast<std::size_t>(model_.config.vocab);
  Bytes offset = all.offset;
  for (const StepItem& item : items) {
    std::size_t rows = item.logits == WantLogits::all ? item.tokens.size() : item.logits == WantLogits::last ? 1 : 0;
    std::vector<float>& logits = result.logits.emplace_back(rows * vocab);
    HAL_CHECK(all.buffer->read(offset, std::as_writable_bytes(std::span(logits))));
    offset += rows * vocab * 4;
  }
  return result;
}

void Executor::end_step(std::span<const StepItem> items, bool done) {
  for (const StepItem& item : items) {
    Sequence& s = *item.sequence;
    if (s.next_slot_ != s.state_slot_) slots_.give_back(s.state_slot_);
    s.state_slot_ = s.next_slot_;
    if (done)
      s.log_.insert(s.log_.end(), item.tokens.begin(), item.tokens.end());
    else
      s.stale_ = true;
  }
}

Result<StepResult> Executor::run(std::span<const StepItem> items) {
  const auto begin = std::chrono::steady_clock::now();
  const StepTables tables = begin_step(items);
  Point point = last_step_;
  auto attempt = [&]() -> Result<StepResult> {
    std::optional<Slice> hidden;
    for (auto& stage : stages_) {
      HAL_TRY(point, stage->submit(tables, hidden, point));
      hidden = stage->output();
    }
    HAL_CHECK(point.timeline->wait(point.value, std::chrono::nanoseconds::max()));
    HAL_CHECK(report_routing(static_cast<std::int64_t>(tables.tokens.size())));
    return read_logits(items, *hidden);
  };
  Result<StepResult> result = attempt();
  end_step(items, result.has_value());
  if (!result) {  // what is under way still uses what the stages of a device share
    if (point.timeline) (void)point.timeline->wait(point.value, std::chrono::nanoseconds::max());
    return result;
  }
  last_step_ = point;
  ++steps_;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    seconds_[i] += stages_[i]->last_seconds();
    if (const SharedExperts* shared = stages_[i]->experts()) other_seconds_[i] += shared->other_seconds();
  }
  result->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

Status Executor::report_routing(std::int64_t rows) const {
  if (!options_.on_routing || model_.config.experts == 0) return ok();
  StepRouting routing{expert_shape(model_), rows, {}};
  routing.chosen.resize(static_cast<std::size_t>(rows * routing.shape.layers * routing.shape.top_k));
  for (const auto& stage : stages_) HAL_CHECK(stage->read_routing(routing));
  options_.on_routing(routing);
  return ok();
}

Result<std::vector<float>> Executor::feed(Sequence& sequence, std::span<const std::int32_t> tokens, WantLogits logits) {
  std::vector<float> all;
  if (!tokens.empty()) HAL_CHECK(check(StepItem{&sequence, tokens, logits}));  // before a part of it has run
  const auto chunk = static_cast<std::size_t>(options_.max_rows);
  for (std::size_t done = 0; done < tokens.size(); done += chunk) {
    auto part = tokens.subspan(done, std::min(chunk, tokens.size() - done));
    bool last = done + part.size() == tokens.size();
    StepItem item{&sequence, part, logits == WantLogits::last && !last ? WantLogits::none : logits};
    HAL_TRY(StepResult result, step({&item, 1}));
    all.insert(all.end(), result.logits[0].begin(), result.logits[0].end());
  }
  return all;
}

Result<SequenceState> Executor::save(const Sequence& sequence) const {
  if (sequence.stale_)
    return Error{Code::invalid_argument,
                 "save: sequence " + std::to_string(sequence.id_) + " must be replayed first; run a step"};
  SequenceState state{model_.content_hash, options_.kv, sequence.log_, {}};
  if (sequence.log_.empty()) return state;
  for (const auto& stage : stages_)
    HAL_CHECK(
        stage->save(sequence.id_, sequence.state_slot_, static_cast<std::int64_t>(sequence.log_.size()), state.layers));
  return state;
}

Result<std::unique_ptr<Sequence>> Executor::restore(const SequenceState& state) {
  if (state.model_hash != model_.content_hash)
    return Error{Code::invalid_argument, "restore: the state belongs to model " + std::to_string(state.model_hash) +
                                             ", this executor runs " + model_.name + " (" +
                                             std::to_string(model_.content_hash) + ")"};
  if (state.kv != options_.kv)
    return Error{Code::invalid_argument, std::string("restore: the state's KV cache is ") + hal::to_string(state.kv) +
                                             ", this executor's is " + hal::to_string(options_.kv)};
  if (static_cast<std::int64_t>(state.log.size()) > options_.context)
    return Error{Code::invalid_argument, "restore: " + std::to_string(state.log.size()) + " tokens, the context is " +
                                             std::to_string(options_.context)};
  HAL_TRY(auto sequence, create_sequence());
  if (state.log.empty()) return sequence;
  sequence->state_slot_ = slots_.take();
  for (auto& stage : stages_)
    HAL_CHECK(stage->restore(sequence->id_, sequence->state_slot_, static_cast<std::int64_t>(state.log.size()),
                             state.layers));
  sequence->log_ = state.log;
  return sequence;
}

std::vector<StageReport> Executor::report() const {
  std::vector<StageReport> all;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const Stage& s = *stages_[i];
    all.push_back(
        {s.device().info().id, s.first(), s.last(), seconds_[i], s.resident(), s.state_bytes(), s.fixed_shapes()});
    if (const SharedExperts* shared = s.experts())
      all.push_back(
          {shared->other().info().id, s.first(), s.last(), other_seconds_[i], shared->resident(true), 0, false});
  }
  return all;
}

std::vector<DeviceReport> Executor::device_report() const {
  std::vector<DeviceReport> all;
  for (const auto& shared : devices_) {
    DeviceReport& r = all.emplace_back();
    r.device = shared->device->info().id;
    r.scratch = shared->scratch ? shared->scratch->bytes() : 0;
    r.io = shared->rows_bytes();
    std::set<std::pair<std::uint64_t, std::string>> copies;  // that several stages share
    for (const auto& stage : stages_) {
      if (&stage->shared() != shared.get()) continue;
      r.weights += stage->resident();
      for (const Holding& h : stage->holds())
        if (h.key && !copies.insert({h.key, h.layout}).second) r.weights -= h.bytes;
      r.state += stage->state_bytes();
      r.io += stage->io_bytes();
      if (const SharedExperts* experts = stage->experts()) {
        r.scratch += experts->scratch(false);
        r.io += experts->io(false);
      }
    }
  }
  for (const auto& stage : stages_) {
    const SharedExperts* experts = stage->experts();
    if (!experts) continue;
    const std::string& id = experts->other().info().id;
    auto r = std::find_if(all.begin(), all.end(), [&](const DeviceReport& known) { return known.device == id; });
    if (r == all.end()) r = all.insert(r, {id, 0, 0, 0, 0});
    r->weights += experts->resident(true);
    r->scratch += experts->scratch(true);
    r->io += experts->io(true);
  }
  return all;
}

StateUse Executor::state_use() const {
  StateUse use{slots_.used(), 0, blocks_.used(), 0};
  for (const auto& stage : stages_) {
    use.pages += stage->pages_used();
    use.bytes += stage->used_bytes(use.slots, use.blocks);
  }
  return use;
}

std::int32_t greedy(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace switchyard::scheduler
