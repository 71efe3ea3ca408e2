// What a pipeline (run/pipeline.h) takes, without running it: stages on devices, groups of sessions, rounds.
//
// A job is one group's step through one stage. It occupies the stage's device for the time to fetch the rows of the
// stage before and then for the step. It begins when its rows are there (or, in the first stage, when the group's last
// round has ended) and when the device has done the jobs that come before it: those smaller by (round, stage, group).
// Given that order, times are sums and maxima of the given numbers, so that numbers without fraction (nanoseconds) are
// exact. What the caller does between rounds takes no time. Any unit of time; the result has the same.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "hal/result.h"

namespace switchyard::scheduler {

struct SimulatedStage {
  std::size_t device = 0;        // 0, 1, 2 ...
  std::vector<double> compute;   // of a step, by group
  std::vector<double> transfer;  // of its rows from the stage before, by group; empty: none
};

struct SimulatedJob {
  std::size_t device = 0, stage = 0, group = 0;
  std::int64_t round = 0;
  double begin = 0, end = 0;
  bool operator==(const SimulatedJob&) const = default;
};

struct Simulation {
  std::vector<SimulatedJob> jobs;  // by (round, stage, group): each device's in the order it runs them
  double makespan = 0;
  std::vector<double> busy;  // by device: its share of the makespan
};

// rounds: of each group; the groups begin together, at 0. invalid_argument: no stages or groups, a stage without a time
// for every group or on a device that is not below the number of stages, a time that is negative or not finite, a
// negative number of rounds.
hal::Result<Simulation> simulate(std::span<const SimulatedStage> stages, std::span<const std::int64_t> rounds);

// Time per round when all groups go on for ever: the largest mean of a cycle in the graph of what waits for what,
// exact. A job's wait for the last round counts as one. Errors as simulate.
hal::Result<double> steady_period(std::span<const SimulatedStage> stages, std::size_t groups);

}  // namespace switchyard::scheduler
