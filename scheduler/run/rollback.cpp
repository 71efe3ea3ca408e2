// Back to an earlier length of a sequence, and two sequences from one.
#include <algorithm>
#include <numeric>

#include "kernels/ssm_scan/ssm_scan.h"
#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

using namespace hal;

const char* to_string(RollbackHow how) {
  switch (how) {
    case RollbackHow::none: return "none";
    case RollbackHow::cut: return "cut";
    case RollbackHow::checkpoint: return "checkpoint";
    case RollbackHow::rewind: return "rewind";
    case RollbackHow::replay: return "replay";
  }
  return "?";
}

namespace {

// Rows [first, end) of a block in the portions they ran in. Steps of few rows are put together: such rows come out the
// same one by one.
std::vector<Rewind::Portion> portions(std::span<const std::int32_t> steps, std::int32_t first, std::int32_t end) {
  constexpr auto few = static_cast<std::int32_t>(kernels::ssm_scan::step_order_rows);
  std::vector<Rewind::Portion> made;
  std::int32_t at = 0;
  for (std::int32_t rows : steps) {
    const std::int32_t begin = std::max(at, first), n = std::min(at + rows, end) - begin;
    at += rows;
    if (n <= 0) continue;
    if (!made.empty() && made.back().rows + n <= few)
      made.back().rows += n;
    else
      made.push_back({begin, n});
  }
  return made;
}

}  // namespace

std::size_t Sequence::Checkpoint::rows() const {
  return static_cast<std::size_t>(std::accumulate(steps.begin(), steps.end(), std::int64_t{0}));
}

void Executor::use_slot(Sequence& s, std::int32_t slot) {
  slots_.share(slot);
  slots_.give_back(s.state_slot_);
  s.state_slot_ = slot;
}

void Executor::drop(const Sequence::Checkpoint& kept) {
  slots_.give_back(kept.slot);
  blocks_.give_back(kept.block);
}

// Of the log, of checkpoints, their rows and of pages: what lies beyond `length`.
void Executor::cut(Sequence& s, std::size_t length) {
  for (; !s.checkpoints_.empty() && s.checkpoints_.back().length > length; s.checkpoints_.pop_back())
    drop(s.checkpoints_.back());
  for (Sequence::Checkpoint& kept : s.checkpoints_) {
    auto left = static_cast<std::int64_t>(length - kept.length);
    for (std::int32_t& rows : kept.steps) {
      rows = static_cast<std::int32_t>(std::min<std::int64_t>(rows, left));
      left -= rows;
    }
    while (!kept.steps.empty() && kept.steps.back() == 0) kept.steps.pop_back();
  }
  s.log_.resize(length);
  for (auto& stage : stages_) stage->truncate(s.id_, static_cast<std::int64_t>(length));
}

void Executor::forget(Sequence& s) {
  for (const Sequence::Checkpoint& kept : s.checkpoints_) drop(kept);
  use_slot(s, 0);
  for (auto& stage : stages_) stage->forget(s.id_);
}

// From nothing: what a failed step left is not trusted, nor what was there before.
Status Executor::replay(Sequence& s) {
  std::vector<std::int32_t> log = s.log_;
  cut(s, 0);
  use_slot(s, 0);
  s.stale_ = false;
  return run_again(s, std::move(log));
}

// `log` from the present length on.
Status Executor::run_again(Sequence& s, std::vector<std::int32_t> log) {
  Result<std::vector<float>> fed = feed(s, std::span(log).subspan(s.log_.size()), WantLogits::none);
  if (fed) return ok();
  s.log_ = std::move(log);
  s.stale_ = true;
  return fed.error();
}

// The present state, instead of the oldest where there are too many.
void Executor::keep(Sequence& s, bool automatic) {
  auto& kept = s.checkpoints_;
  const auto alike = [&](const Sequence::Checkpoint& c) { return c.automatic == automatic; };
  if (std::count_if(kept.begin(), kept.end(), alike) == (automatic ? rewind_states : options_.checkpoints)) {
    const auto oldest = std::find_if(kept.begin(), kept.end(), alike);
    drop(*oldest);
    kept.erase(oldest);
  }
  slots_.share(s.state_slot_);
  kept.push_back({s.state_slot_, s.log_.size(), automatic, automatic && rewinds_ ? blocks_.take() : -1, {}});
}

Status Executor::checkpoint(Sequence& s) {
  if (options_.checkpoints == 0)
    return Error{Code::invalid_argument, "checkpoint: this executor keeps none; open it with checkpoints above 0"};
  if (s.stale_) HAL_CHECK(replay(s));
  const bool known = std::any_of(s.checkpoints_.begin(), s.checkpoints_.end(),
                                 [&](const auto& kept) { return !kept.automatic && kept.length == s.log_.size(); });
  if (!known) keep(s, false);
  return ok();
}

// Before a step of `rows` rows of the sequence, of `all` in all. Makes a checkpoint where without it a rewind behind
// the step could not begin near enough. The block that keeps the rows; null: they are not kept.
Sequence::Checkpoint* Executor::keep_way_back(Sequence& s, std::int64_t rows, std::int64_t all) {
  if (options_.rewind == 0 || !recurrent_) return nullptr;
  const bool kept = rewinds_ && rows <= options_.rewind && all <= scanned_rows(options_);
  auto newest = std::find_if(s.checkpoints_.rbegin(), s.checkpoints_.rend(), [](const auto& c) { return c.automatic; });
  bool enough = false;  // it will do for this step too
  if (newest != s.checkpoints_.rend()) {
    const auto since = static_cast<std::int64_t>(s.log_.size() - newest->length);
    const bool whole =
        !rewinds_ || (newest->rows() == static_cast<std::size_t>(since) && !blocks_.shared(newest->block));
    enough = since == 0 ? whole : whole && (kept || !rewinds_) && since + rows <= options_.rewind;
    if (since == 0 && !enough) {
      drop(*newest);
      s.checkpoints_.erase(std::next(newest).base());
    }
  }
  if (!enough) {
    keep(s, true);
    newest = s.checkpoints_.rbegin();
  }
  return kept ? &*newest : nullptr;
}

Result<RollbackReport> Executor::rollback(Sequence& s, std::int64_t tokens) {
  const auto begin = std::chrono::steady_clock::now();
  const auto length = static_cast<std::int64_t>(s.log_.size());
  if (tokens < 0 || tokens > length)
    return Error{Code::invalid_argument, "rollback: " + std::to_string(tokens) + " tokens of sequence " +
                                             std::to_string(s.id_) + ", whose log has " + std::to_string(length)};
  RollbackReport report;
  HAL_CHECK(go_back(s, static_cast<std::size_t>(length - tokens), report));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Status Executor::go_back(Sequence& s, std::size_t length, RollbackReport& report) {
  if (s.stale_) {
    cut(s, length);
    report = {RollbackHow::replay, static_cast<std::int64_t>(length)};
    return replay(s);
  }
  if (length == s.log_.size()) return ok();
  std::vector<std::int32_t> log(s.log_.begin(), s.log_.begin() + static_cast<std::ptrdiff_t>(length));
  cut(s, length);
  report.how = RollbackHow::cut;
  if (!recurrent_) return ok();
  const Sequence::Checkpoint from = s.checkpoints_.empty() ? Sequence::Checkpoint{} : s.checkpoints_.back();
  report.tokens = static_cast<std::int64_t>(length - from.length);
  const Sequence::Checkpoint* block = rows_to(s, length);
  if (block && report.tokens > 0) {
    report.how = RollbackHow::rewind;
    return rewind(s, from, *block);
  }
  use_slot(s, from.slot);
  report.how = report.tokens ? RollbackHow::replay : RollbackHow::checkpoint;
  cut(s, from.length);
  return run_again(s, std::move(log));
}

// The newest checkpoint up to `length` whose block has all rows from there to `length`, or null.
const Sequence::Checkpoint* Executor::rows_to(const Sequence& s, std::size_t length) {
  const auto block = std::find_if(s.checkpoints_.rbegin(), s.checkpoints_.rend(),
                                  [&](const auto& c) { return c.block >= 0 && c.length <= length; });
  return block != s.checkpoints_.rend() && block->length + block->rows() >= length ? &*block : nullptr;
}

std::size_t Executor::reach(const Sequence& s, std::size_t length) const {
  if (s.stale_) return 0;
  if (length >= s.log_.size()) return s.log_.size();
  if (!recurrent_ || rows_to(s, length)) return length;
  const auto from =
      std::find_if(s.checkpoints_.rbegin(), s.checkpoints_.rend(), [&](const auto& c) { return c.length <= length; });
  return from == s.checkpoints_.rend() ? 0 : from->length;
}

// The log is already as it is to be; `from` lies in the rows of `block`.
Status Executor::rewind(Sequence& s, const Sequence::Checkpoint& from, const Sequence::Checkpoint& block) {
  const std::int32_t to = slots_.shared(s.state_slot_) ? slots_.take() : s.state_slot_;
  const Rewind tables{block.block, from.slot, to, static_cast<std::int32_t>(block.length),
                      portions(block.steps, static_cast<std::int32_t>(from.length - block.length),
                               static_cast<std::int32_t>(s.log_.size() - block.length))};
  Point point = last_step_;
  const auto attempt = [&]() -> Status {
    for (auto& stage : stages_) {
      HAL_TRY(point, stage->rewind(tables, point));
    }
    return point.timeline->wait(point.value, std::chrono::nanoseconds::max());
  };
  Status done = attempt();
  if (to != s.state_slot_) slots_.give_back(s.state_slot_);
  s.state_slot_ = to;
  s.stale_ = !done;
  if (done)
    last_step_ = point;
  else if (point.timeline)
    (void)point.timeline->wait(point.value, std::chrono::nanoseconds::max());
  return done;
}

Result<std::unique_ptr<Sequence>> Executor::fork(Sequence& s) {
  if (s.stale_) HAL_CHECK(replay(s));
  HAL_TRY(auto made, create_sequence());
  use_slot(*made, s.state_slot_);
  made->checkpoints_ = s.checkpoints_;
  for (const Sequence::Checkpoint& kept : s.checkpoints_) {
    slots_.share(kept.slot);
    blocks_.share(kept.block);
  }
  made->log_ = s.log_;
  for (auto& stage : stages_) stage->fork(s.id_, made->id_);
  return made;
}

}  // namespace switchyard::scheduler
