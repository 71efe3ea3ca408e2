// Back to an earlier length of a sequence, and two sequences from one.
#include <algorithm>

#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

using namespace hal;

const char* to_string(RollbackHow how) {
  switch (how) {
    case RollbackHow::none: return "none";
    case RollbackHow::cut: return "cut";
    case RollbackHow::checkpoint: return "checkpoint";
    case RollbackHow::replay: return "replay";
  }
  return "?";
}

bool Executor::recurrent() const {
  return std::any_of(stages_.begin(), stages_.end(), [](const auto& stage) { return stage->recurrent(); });
}

void Executor::use_slot(Sequence& s, std::int32_t slot) {
  slots_.share(slot);
  slots_.give_back(s.state_slot_);
  s.state_slot_ = slot;
}

// Of the log, of checkpoints and of pages: what lies beyond `length`.
void Executor::cut(Sequence& s, std::size_t length) {
  for (; !s.checkpoints_.empty() && s.checkpoints_.back().length > length; s.checkpoints_.pop_back())
    slots_.give_back(s.checkpoints_.back().slot);
  s.log_.resize(length);
  for (auto& stage : stages_) stage->truncate(s.id_, static_cast<std::int64_t>(length));
}

void Executor::forget(Sequence& s) {
  cut(s, 0);
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

Status Executor::checkpoint(Sequence& s) {
  if (options_.checkpoints == 0)
    return Error{Code::invalid_argument, "checkpoint: this executor keeps none; open it with checkpoints above 0"};
  if (s.stale_) HAL_CHECK(replay(s));
  auto& kept = s.checkpoints_;
  if (!kept.empty() && kept.back().length == s.log_.size()) return ok();
  if (static_cast<std::int64_t>(kept.size()) == options_.checkpoints) {
    slots_.give_back(kept.front().slot);
    kept.erase(kept.begin());
  }
  slots_.share(s.state_slot_);
  kept.push_back({s.state_slot_, s.log_.size()});
  return ok();
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
  if (!recurrent()) return ok();
  const Sequence::Checkpoint from = s.checkpoints_.empty() ? Sequence::Checkpoint{} : s.checkpoints_.back();
  use_slot(s, from.slot);
  report.how = RollbackHow::checkpoint;
  if (from.length == length) return ok();
  cut(s, from.length);
  report = {RollbackHow::replay, static_cast<std::int64_t>(length - from.length)};
  return run_again(s, std::move(log));
}

Result<std::unique_ptr<Sequence>> Executor::fork(Sequence& s) {
  if (s.stale_) HAL_CHECK(replay(s));
  HAL_TRY(auto made, create_sequence());
  use_slot(*made, s.state_slot_);
  made->checkpoints_ = s.checkpoints_;
  for (const Sequence::Checkpoint& kept : s.checkpoints_) slots_.share(kept.slot);
  made->log_ = s.log_;
  for (auto& stage : stages_) stage->fork(s.id_, made->id_);
  return made;
}

}  // namespace switchyard::scheduler
