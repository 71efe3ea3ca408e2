// The best placement for a request, before it is told as a plan. Internal to plan/.
#pragma once
#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {

struct Answer {
  Problem problem;
  Posed posed;
  ChainResult solved;                       // cost and bound: of a round, with several groups
  std::vector<std::vector<double>> slower;  // of several groups: as in Rounds; else empty
};

// One step of all sessions or, in the mode throughput, groups of sessions: as many as asked, else as many as is best.
// Errors as make_plan.
hal::Result<Answer> answer_for(const probes::Machine& machine, CostModel& cost, Claims& claims,
                               const PlanRequest& request);

// The best other option for one unit while the others stay, and what speaks against it.
std::optional<RunnerUp> runner_up(const Answer& answer, std::size_t unit, Mode mode);
// What would have to change for the next better plan: of every pool that binds, the smallest step up that pays.
std::vector<More> better_with(const Problem& problem, const Chain& chain, const ChainResult& solved);
// What the plan takes of each limit, and what it would gain with more of it.
std::vector<KeptLimit> kept_limits(const Answer& answer, CostModel& cost, const PlanRequest& request, const Plan& plan);

}  // namespace switchyard::scheduler
