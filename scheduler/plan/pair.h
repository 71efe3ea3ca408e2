// Pair plan: the prompt on one device, the tokens after it on another. Every unit u takes a pair of devices, a for
// prefill and b for decode; for a prompt of n tokens and m decode steps after it
//
//   min  sum_u  prefill(u, a, n) + m decode(u, b) + [a != b] copy(a, b, state of u after n tokens)
//        + moves of hidden rows between neighbours, in every prefill step and every decode step
//   s.t. the memory rows of a plan, where a unit on two devices takes weights and state on both
//
// the split of the two phases of Splitwise (Patel et al. 2024) and DistServe (Zhong et al. 2024), per unit and with
// recurrent state, which does not grow with the prompt as a KV cache does. Times are of one session. Prefill runs in
// full steps of `chunk` rows and one for the rest; decode is costed at the middle of its steps, exact for times linear
// in the past.
#pragma once
#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {

struct PairRequest {
  // prompt is n; pins hold for both phases; memory is kept for `sessions` of `context` on every device of a unit; mode,
  // limits, experts and advise are not used.
  PlanRequest plan;
  std::int64_t output = 256;  // m; prompt + output is at most the context
  // Devices of one memory pool that read each other's copy of the weights: these count once there. Empty by default:
  // no backend does, so a unit on two devices takes its weights twice.
  std::vector<std::pair<std::string, std::string>> one_copy;
};

struct PairedUnit {
  std::string unit, kind, prefill, decode;           // devices
  double prefill_seconds = 0, step_seconds = 0;      // of the whole prompt; of one decode step
  std::string prefill_how, decode_how, handoff_how;  // as in cost.h
  hal::Bytes handoff_bytes = 0;                      // state copied
  hal::Bytes bytes = 0;  // weights and state held, on both devices; what units share, of the first of them
  double handoff_seconds = 0;
};

struct PairPlacement {
  bool fits = false;
  std::string shortage;
  // Sums over the units and the moves between them; seconds = prefill + output * step + handoff.
  double seconds = 0, prefill_seconds = 0, step_seconds = 0, handoff_seconds = 0;
  hal::Bytes handoff_bytes = 0;
  std::vector<PoolUse> pools;
  std::vector<PairedUnit> units;
  double bound = 0,
         gap = 0;        // no placement of its sort takes less than bound seconds; gap: (seconds - bound) / seconds
  bool optimal = false;  // proven for the estimates

  bool split() const;  // some unit has two devices
};

// Where a gain is above zero: [from, to] is the last stretch of prompts in which it is at all that were looked at; its
// ends are exact if the gain changes its sign at most once between neighbours on the grid. from == 0: never.
// monotone: over the grid the gain only rises, or only falls.
struct Pays {
  std::int64_t from = 0, to = 0;
  bool monotone = true;
};
// grid: rising, not empty; each of its points is looked at, and where the sign changes the halves between them.
Pays where_it_pays(const std::function<double(std::int64_t)>& gain, const std::vector<std::int64_t>& grid);

// The whole model's prefill on one device and its decode on another, against all of it on one of the two.
struct BreakEven {
  std::string prefill, decode;
  std::string impossible;  // why: what a device refuses, or memory; then the rest says nothing
  // Prompts for which it beats everything on the decode device, on the prefill device, on the better of the two.
  Pays over_decode, over_prefill, over_both;
};

struct PairPlan {
  std::string model, machine;
  std::int64_t prompt = 0, output = 0, context = 0, sessions = 0;
  PairPlacement best, single;  // single: the best with one device per unit for both phases
  std::int64_t longest = 0;    // break-evens are of prompts 1 .. longest, the most that leaves room for the output
  std::vector<BreakEven> break_even;  // of every two devices

  double gain() const;  // single.seconds / best.seconds
};

// What does not fit comes back with best.fits == false. invalid_argument: prompt or output below 1, together beyond the
// context; one_copy of devices that are not there or have two pools. unsupported: more than 16 devices. Else as
// make_plan.
hal::Result<PairPlan> make_pair_plan(const probes::Machine& machine, const probes::Profile& profile,
                                     const PairRequest& request, const ClaimFunction& claim = {});

std::string to_json(const PairPlan& plan);  // "switchyard.pair/1"
std::string explain(const PairPlan& plan);  // a table for people

}  // namespace switchyard::scheduler
