// A request as numbers: what every unit costs and takes on every device, and why some are refused. Internal to plan/.
#pragma once
#include "scheduler/cost/cost.h"
#include "scheduler/plan/expert_options.h"
#include "scheduler/plan/plan.h"
#include "scheduler/solve/chain.h"

namespace switchyard::scheduler {

struct Place {  // of a unit on a device
  bool possible = false;
  bool fixed_shapes = false;  // it runs one sequence at a time
  std::vector<Refusal> refusals;
  Estimate decode, prefill;           // of one step; of the whole prompt
  hal::Bytes bytes = 0, scratch = 0;  // bytes: without those of shared copies
  std::vector<std::size_t> copies;    // of Problem::copies
};

// A constant of several units, of which a device keeps one copy.
struct SharedCopy {
  std::size_t device = 0;
  hal::Bytes bytes = 0;
  std::uint64_t key = 0;  // of the constant
};

struct Row {  // of the memory ledger
  std::string name, within;
  hal::Bytes capacity = 0;
};

// A problem as a chain, and the device each option of each unit stands for.
struct Posed {
  Chain chain;
  std::vector<std::vector<std::size_t>> devices;  // [unit][option]
  std::vector<std::size_t> whole;                 // [unit]: options of all of it; then those of Problem::experts

  // The option of all of the unit on a device; none: refused, or pinned elsewhere.
  std::optional<std::size_t> option_on(std::size_t unit, std::size_t device) const;
};

struct Problem {
  std::vector<const probes::Door*> devices;
  std::vector<Row> rows;
  std::vector<std::vector<std::size_t>> rows_of;  // per device: the pools its bytes count in
  std::vector<std::vector<Place>> places;         // [unit][device]
  std::vector<std::int64_t> pinned;               // per unit: a device, or -1
  std::vector<hal::Bytes> fixed;                  // per device, once used
  std::vector<SharedCopy> copies;
  std::vector<std::vector<ExpertOption>> experts;  // [unit]; empty: no unit has any
  probes::Step step;
  std::int64_t chunks = 0, chunk = 0;

  std::vector<std::int64_t> takes(std::size_t device, hal::Bytes bytes) const;  // of every row
  Estimate move(CostModel& cost, const PlanRequest& request, std::size_t unit, std::int64_t from, std::int64_t to,
                bool prefill) const;
  const ExpertOption* experts_of(const Posed& posed, std::size_t unit, std::size_t option) const;  // null: all of it
  Posed chain(CostModel& cost, const PlanRequest& request, Mode mode, bool with_pins) const;
};

// A placement of which steps of several groups are in flight at once: every device takes its share of each group's
// step, and a group's next step begins when its last one has ended.
struct Rounds {
  ChainResult solved;  // cost: seconds of a round, in which every session gets a token; bound as a ChainResult's
  double step = 0;     // seconds of one group's step, from its first unit to its last
  std::vector<std::vector<double>> slower;  // [unit][option]: for the other devices that work at the same time
};
// The placement that makes the shortest round for `groups` groups: a device whose share of a step is s is busy for
// groups x s, and no round is shorter than that of any device, nor than a step.
Rounds shortest_round(CostModel& cost, const Problem& problem, const Posed& posed, const PlanRequest& request,
                      std::int64_t groups);
// Seconds of a round with another placement.
double round_of(const Posed& posed, const Placement& x, const Rounds& as, std::int64_t groups);

// Bytes of hidden rows (or tokens, or logits) that cross the border before `unit`; unit == units: after the last.
double border_bytes(const PlanRequest& request, std::size_t unit, const probes::Step& step);

hal::Result<Problem> pose(const probes::Machine& machine, CostModel& cost, const PlanRequest& request,
                          const ClaimFunction& claim);

ClaimFunction or_library(const ClaimFunction& claim);  // the kernel library's, where it is empty

std::string gigabytes(hal::Bytes bytes);   // "4.21 GB"
std::string milliseconds(double seconds);  // "3.21 ms"

}  // namespace switchyard::scheduler
