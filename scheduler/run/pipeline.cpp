#include "scheduler/run/pipeline.h"

#include <algorithm>
#include <set>
#include <thread>

namespace switchyard::scheduler {

using namespace hal;

Result<PipelineResult> Pipeline::run(Executor& executor, std::vector<GroupStep> first, const NextStep& next,
                                     bool want_jobs) {
  Pipeline p(executor);
  HAL_CHECK(p.open(std::move(first)));
  if (want_jobs) p.result_.jobs.resize(executor.devices_.size());
  std::optional<Error> failed;
  {
    std::vector<std::jthread> threads;
    try {
      for (std::size_t d = 0; d < executor.devices_.size(); ++d) threads.emplace_back([&p, d] { p.work(d); });
    } catch (const std::system_error& e) {  // those that did start have nothing to do
      const std::lock_guard lock(p.mutex_);
      for (Group& g : p.groups_) g.ended = true;
      p.changed_.notify_all();
      failed = Error{Code::unavailable, std::string("pipeline: no thread for every device: ") + e.what()};
    }
    if (!failed) p.serve(next);
  }
  if (failed) {
    for (const Group& g : p.groups_) executor.end_step(g.step, false);
    return *failed;
  }
  for (const Group& g : p.groups_) p.result_.groups.push_back({g.done, g.error});
  return std::move(p.result_);
}

Status Pipeline::open(std::vector<GroupStep> first) {
  if (first.empty()) return Error{Code::invalid_argument, "pipeline: no groups"};
  const bool shares =
      std::any_of(executor_.stages_.begin(), executor_.stages_.end(), [](const auto& s) { return s->experts(); });
  if (shares || executor_.options_.on_routing)
    return Error{Code::unsupported,
                 "pipeline: an executor that shares experts or reports routing runs one step at a time"};
  std::set<const Sequence*> all;
  for (GroupStep& step : first) {
    HAL_CHECK(executor_.check(step));
    Group& g = groups_.emplace_back();
    for (const StepItem& item : step) {
      g.sequences.push_back(item.sequence);
      if (!all.insert(item.sequence).second)
        return Error{Code::invalid_argument,
                     "pipeline: sequence " + std::to_string(item.sequence->id()) + " stands in two groups"};
    }
    g.step = std::move(step);
  }
  for (const auto& stage : executor_.stages_) HAL_CHECK(stage->reserve_lanes(groups_.size()));
  for (const Group& g : groups_) HAL_CHECK(executor_.replay_stale(g.step));
  for (Group& g : groups_) {
    g.point = executor_.last_step_;
    start(g);
  }
  return ok();
}

// A device's thread.
void Pipeline::work(std::size_t device) {
  const auto& stages = executor_.stages_;
  bool any = true;
  for (std::int64_t round = 0; any; ++round) {
    any = false;
    for (std::size_t s = 0; s < stages.size(); ++s) {
      if (&stages[s]->shared() != executor_.devices_[device].get()) continue;
      for (std::size_t n = 0; n < groups_.size(); ++n) {
        Group& g = groups_[n];
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return g.ended || (g.round == round && g.stages == s); });
        if (g.ended) continue;
        any = true;
        lock.unlock();
        Status done = job(s, n);  // until it is done, g is this thread's alone
        lock.lock();
        if (done) {
          ++g.stages;
          const Timing& t = stages[s]->timing(n);
          if (!result_.jobs.empty()) result_.jobs[device].push_back({s, n, round, t.begin, t.end});
        } else {
          g.error = done.error();
          g.ended = true;
        }
        if (g.ended || g.stages == stages.size()) finished_.push_back(n);
        lock.unlock();
        changed_.notify_all();
      }
    }
  }
}

Status Pipeline::job(std::size_t s, std::size_t n) {
  Group& g = groups_[n];
  Stage& stage = *executor_.stages_[s];
  HAL_TRY(g.point, stage.submit(g.tables, g.rows, g.point, n));
  HAL_CHECK(g.point.timeline->wait(g.point.value, std::chrono::nanoseconds::max()));
  g.rows = stage.output(n);
  executor_.seconds_[s] += stage.last_seconds(n);
  return ok();
}

// The caller's thread: rounds that are done, one after another.
void Pipeline::serve(const NextStep& next) {
  for (std::size_t live = groups_.size(); live > 0;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !finished_.empty(); });
    const std::size_t n = finished_.front();
    finished_.pop_front();
    lock.unlock();
    const bool goes_on = advance(n, next);  // until then, no thread touches the group
    if (!goes_on) --live;
    lock.lock();
    Group& g = groups_[n];
    g.round = g.done;
    g.stages = 0;
    g.ended = !goes_on;
    lock.unlock();
    changed_.notify_all();
  }
}

bool Pipeline::advance(std::size_t n, const NextStep& next) {
  Group& g = groups_[n];
  Result<StepResult> result = g.error ? *g.error : executor_.read_logits(g.step, *g.rows);
  executor_.end_step(g.step, result.has_value());
  if (!result) {
    g.error = result.error();
    return false;
  }
  result->seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - g.begin).count();
  executor_.last_step_ = g.point;
  ++executor_.steps_;
  g.step = next(n, g.done++, *result);
  if (g.step.empty()) return false;
  if (Status known = admit(g); !known) {
    g.error = known.error();
    return false;
  }
  start(g);
  return true;
}

Status Pipeline::admit(const Group& g) const {
  HAL_CHECK(executor_.check(g.step));
  for (const StepItem& item : g.step)
    if (std::find(g.sequences.begin(), g.sequences.end(), item.sequence) == g.sequences.end())
      return Error{Code::invalid_argument, "pipeline: sequence " + std::to_string(item.sequence->id()) +
                                               " was not in the first step of its group"};
  return ok();
}

void Pipeline::start(Group& g) {
  g.tables = executor_.begin_step(g.step);
  g.rows.reset();
  g.begin = std::chrono::steady_clock::now();
}

}  // namespace switchyard::scheduler
