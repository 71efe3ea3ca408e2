// Pipeline: several steps of an executor in flight, so that all its devices work at the same time.
//
//   A group is what steps together: any of its sequences, any rows of each, as in Executor::step. Its steps are its rounds.
//   While one group's step is on one device, another group's is on the next.
//   A job is one group's step through one stage. Each device has a thread that runs its jobs one at a time in the order
//   (round, stage, group), each once its input is there; a group that has ended is skipped. The order does not depend on
//   time: it is the same in every run, and in simulate/. No job waits for one that comes after it in this order, on any
//   device, so none waits for ever.
// Tokens and logits are those of Executor::step with the same items, bit for bit.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>

#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

using GroupStep = std::vector<StepItem>;  // tokens stay valid until the group's next call of NextStep, or the end

// Handles the logits of a group's round and gives its next step; an empty one ends the group. Called on the thread that
// called Pipeline::run, in the order (round, group); it must not throw and must not use the executor.
using NextStep = std::function<GroupStep(std::size_t group, std::int64_t round, const StepResult& result)>;

struct PipelineJob {
  std::size_t stage = 0, group = 0;  // stage: as in Executor::report()
  std::int64_t round = 0;
  std::chrono::nanoseconds begin{}, end{};  // on the device's own clock
  bool operator==(const PipelineJob&) const = default;
};

struct PipelineResult {
  struct Group {
    std::int64_t rounds = 0;  // done; their tokens are in the sequences' logs
    std::optional<hal::Error> error;
  };
  std::vector<Group> groups;
  std::vector<std::vector<PipelineJob>> jobs;  // per device, as in Executor::device_report(), in the order they ran
};

class Pipeline {
 public:
  // Runs until every group has ended. Nobody else uses the executor or its sequences meanwhile.
  // A job that fails ends its group with the error and leaves the group's sequences stale, as a failed Executor::step
  // does; so does a next step that is refused (as Executor::step would, or for a sequence that is not in the group's
  // first step), but its sequences stay as they are. The other groups go on: what a lost device does to them, they find
  // out themselves. invalid_argument: a first step that is refused, or a sequence in two of them; nothing has run.
  // unsupported: an executor that shares experts between devices or reports routing.
  static hal::Result<PipelineResult> run(Executor& executor, std::vector<GroupStep> first, const NextStep& next,
                                         bool want_jobs = false);

 private:
  struct Group {
    GroupStep step;
    StepTables tables;
    std::vector<const Sequence*> sequences;
    std::int64_t done = 0;   // rounds
    std::int64_t round = 0;  // the present one
    std::size_t stages = 0;  // of it that are done
    bool ended = false;
    std::optional<hal::Slice> rows;  // of the last stage that is done
    hal::Point point;                // its end
    std::optional<hal::Error> error;
    std::chrono::steady_clock::time_point begin;
  };

  explicit Pipeline(Executor& executor) : executor_(executor) {}
  hal::Status admit(const Group& group) const;
  void start(Group& group);
  hal::Status open(std::vector<GroupStep> first);
  void work(std::size_t device);
  hal::Status job(std::size_t stage, std::size_t group);
  void serve(const NextStep& next);
  bool advance(std::size_t group, const NextStep& next);

  Executor& executor_;
  std::mutex mutex_;  // guards round, stages and ended of groups, finished_, jobs; the rest of a group is its turn's
  std::condition_variable changed_;
  std::vector<Group> groups_;
  std::deque<std::size_t> finished_;  // groups whose round is done or has failed
  PipelineResult result_;
};

}  // namespace switchyard::scheduler
