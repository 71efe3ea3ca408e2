// Experts on two devices as options of a plan: of a feed-forward part, the experts that a trace used most on the device
// that is faster with experts, the others on another one, both at work at the same time (experts/split.h).
//
// Seconds of a step of T rows with the unit on A and part of its experts on B, as the mean over steps of the trace (T
// tokens in a row, from evenly spaced ones on, at most 2048 steps; after the last token comes the first):
//   l_A + front_A + max(l_A + c_AB (rest_A + x_A), there + c_BA x_B) + back + join_A + l_A
//   front, rest, join  the parts of experts/split.h; rest: near with one expert less far with one
//   x_d      all_d, the time for all experts on d, times the share of the work that falls on those it holds: of the
//            distinct experts that the step touches, over how many that are when use is even, where d is bound by
//            memory there; else of the T k choices
//   l        a launch: of front, of near, and of what follows, which would else be one program with the unit
//   c        how much slower a device is beside the other
//   there    the moves of x, index and gate; back: of the sum of B's experts; both from submission to arrival
// front, rest, join and all_d (from far with all experts but one) are the cost model's, scaled so that they add up to
// its time of the whole unit on d.
#pragma once
#include <vector>

#include "scheduler/cost/cost.h"
#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {

class Claims;
enum class Quantity : std::uint8_t;
struct Posed;
struct Problem;

struct ExpertOption {
  std::size_t own = 0, other = 0;  // devices of the problem: rows arrive at and leave from `own`
  std::vector<bool> chosen;        // one per expert: on `own`
  Estimate decode, prefill;        // as those of a Place
  hal::Bytes bytes = 0, other_bytes = 0;
};

// How many of the most used of so many experts an option has together: rising, at least 1, not all.
std::vector<std::int64_t> expert_counts(std::int64_t experts);

// [unit][option]; none without request.experts, for several groups in flight, of a unit that is pinned or has no
// experts, or on devices of one chip, or that take fixed shapes, decline a part, were not measured or, where energy
// counts, have no figure for it, or where it would be neither faster nor smaller than all of the unit on `own`.
// invalid_argument: a trace of another model.
hal::Result<std::vector<std::vector<ExpertOption>>> expert_options(const Problem& problem,
                                                                   const probes::Machine& machine, CostModel& cost,
                                                                   Claims& claims, const PlanRequest& request);

// The unit's options of problem.experts, after those of all of it; mode, objective and scale as Problem::chain() has
// them.
void add_expert_options(const Problem& problem, std::size_t unit, Mode mode, Quantity objective, double scale,
                        Posed& posed);

// What an executor takes of both devices for such a unit, in steps of up to request.chunk rows: scratch and what the
// parts hand over are the unit's own. unsupported: what a device declines, with its reason; others as split_experts().
struct ExpertBytes {
  hal::Bytes own = 0, other = 0;
};
hal::Result<ExpertBytes> expert_bytes(const hal::Info& own, const hal::Info& other, const hal::Segment& unit,
                                      const std::vector<bool>& chosen, const PlanRequest& request,
                                      const Claims& claims);

}  // namespace switchyard::scheduler
