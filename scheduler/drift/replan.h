// When devices have drifted: another plan, and whether moving to it pays. Pure functions; the caller has the clock.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "scheduler/plan/plan.h"

namespace switchyard::scheduler {

// The profile of devices that take `factors` times as long: what was measured of units, ops and launches is multiplied,
// rates are divided; copies stay. A device without a factor, or with one that is not positive and finite, stays.
probes::Profile scaled(probes::Profile profile, const std::map<std::string, double>& factors);

// With the doors that have no factor of their own, but share a chip with one that has: heat slows all its doors.
std::map<std::string, double> of_chips(const probes::Machine& machine, std::map<std::string, double> factors);

struct MoveRule {
  double dwell = 30;    // seconds after a move without another: clocks and temperatures settle in less
  double horizon = 60;  // seconds of running that a move must pay for itself in: twice the dwell, no more is known
  double margin = 2;    // the saving over the cost of the move, since both are estimates
  double least = 0.05;  // share of the time saved: predictions are not better than that
};

struct Verdict {
  bool move = false;
  std::string why;  // with the figures
};
// Whether to go from a placement that takes `current` seconds to one that takes `better` (of the same work), for a move
// of `cost` seconds. now, last_move: seconds of one clock.
Verdict worth_moving(const MoveRule& rule, double now, std::optional<double> last_move, double current, double better,
                     double cost);

// Seconds to bring what the plans place differently to its new devices: states from the old device, weights from the
// host. Both plans are of the request. Reading weights from disk and compiling are not in it.
double move_seconds(const Plan& from, const Plan& to, const PlanRequest& request, const probes::Profile& profile);

struct Replan {
  Plan current;  // the placement there is, with its times on the scaled profile
  Plan better;
  double cost = 0;  // seconds of the move
  Verdict verdict;
};
// Makes the plan that the request would get with the chips as they are now, and judges it against `plan`. Before the
// end of the dwell nothing is planned: both plans are `plan`. Errors: as make_plan; invalid_argument: a plan of another
// model or number of units, or a mode that is not of time (memory, energy); unsupported: experts of a layer on two
// devices.
hal::Result<Replan> replan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                           const Plan& plan, const std::map<std::string, double>& factors, const MoveRule& rule,
                           double now, std::optional<double> last_move, const ClaimFunction& claim = {});

}  // namespace switchyard::scheduler
