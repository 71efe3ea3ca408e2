// What the steps of a run took on each stage, beside what was predicted for exactly these steps; kept as one JSON line
// per run ("switchyard.observed/1"), so that predictions can be judged later.
#pragma once
#include <array>

#include "scheduler/cost/cost.h"
#include "scheduler/drift/drift.h"
#include "scheduler/run/executor.h"
#include "scheduler/run/place.h"

namespace switchyard::scheduler {

enum class Phase : std::uint8_t { prefill, decode };
const char* to_string(Phase phase);

// One stage in one phase. Medians over the steps, in seconds of the device.
struct ObservedStage {
  std::string device, first, last;  // the names of its first and last unit
  std::int64_t units = 0;
  Phase phase = Phase::decode;
  double predicted = 0, measured = 0;  // predicted 0: the device has not been measured
  double ratio = 0;                    // the median of measured / predicted; 0: nothing was predicted
  std::int64_t samples = 0;
  std::string drift;  // of decode steps: as to_string(Drift); of prefill: empty
  double factor = 1;  // as DriftDetector::factor()
};
struct Observed {
  std::string model, machine, mode;  // machine: probes::key(); mode: the plan's, or empty
  std::uint64_t model_hash = 0;
  double objective = 0;  // the plan's; 0: there was none
  std::vector<ObservedStage> stages;
};

// One line with its end. Names that are not UTF-8 are written with replacement characters.
std::string to_json_line(const Observed& run);
// Of a file of such lines; empty ones are skipped. io, with the line's number: another schema, or not such a line.
hal::Result<std::vector<Observed>> observed_from_json_lines(std::string_view text);

// Watches an executor: call after() each time it has run one step. The executor must outlive it; the profile need not.
class StepObserver {
 public:
  // profile: of this machine; none: nothing is predicted.
  StepObserver(const Executor& executor, const probes::Profile* profile);
  StepObserver(const StepObserver&) = delete;
  StepObserver& operator=(const StepObserver&) = delete;
  void after(Phase phase, const probes::Step& step);
  const DriftMonitor& monitor() const { return monitor_; }
  std::vector<ObservedStage> stages() const;

 private:
  struct Samples {
    std::vector<double> predicted, measured, ratio;
  };
  struct Work {  // units of a stage that do the same
    hal::Segment segment;
    int count = 0;
  };
  double predicted(std::size_t stage, const probes::Step& step);

  const Executor& executor_;
  probes::Profile profile_;
  CostModel cost_{profile_};
  std::vector<std::vector<Work>> work_;                  // per stage
  std::map<std::array<std::int64_t, 5>, double> known_;  // stage and step
  std::vector<double> seconds_;                          // of each stage so far
  std::vector<std::array<Samples, 2>> samples_;          // per stage and phase
  DriftMonitor monitor_;
};

}  // namespace switchyard::scheduler
