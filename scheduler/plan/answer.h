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

}  // namespace switchyard::scheduler
