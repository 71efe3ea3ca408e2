#include "scheduler/plan/answer.h"

#include <algorithm>

namespace switchyard::scheduler {
namespace {

constexpr std::int64_t most_groups = 16;

// One device for all, if that is within `simple_enough` of the best: fewer parts, for less than measurements can tell
// apart.
void prefer_one_device(const Posed& posed, ChainResult& solved) {
  const Chain& chain = posed.chain;
  ChainResult simple = solved;
  for (std::size_t d = 0; d < chain.places; ++d) {
    Placement x;
    for (std::size_t u = 0; u < chain.units.size(); ++u)
      if (auto option = posed.option_on(u, d)) x.push_back(*option);
    if (x.size() < chain.units.size()) continue;
    double cost = cost_of(chain, x);
    if (cost <= solved.cost * (1 + simple_enough) && fits(chain, x) &&
        (simple.placement == solved.placement || cost < simple.cost)) {
      simple.placement = x;
      simple.cost = cost;
    }
  }
  simple.optimal = simple.bound >= simple.cost * (1 - 1e-9);
  solved = simple;
}

hal::Result<Answer> answer(const probes::Machine& machine, CostModel& cost, Claims& claims, const PlanRequest& request,
                           std::int64_t groups) {
  Answer a;
  HAL_TRY(a.problem, pose(machine, cost, claims, request, groups));
  HAL_TRY(a.problem.experts, expert_options(a.problem, machine, cost, claims, request));
  a.posed = a.problem.chain(cost, request, request.mode);
  if (groups > 1) {
    Rounds rounds = shortest_round(cost, a.problem, a.posed, request);
    a.solved = std::move(rounds.solved);
    a.slower = std::move(rounds.slower);
  } else {
    a.solved = solve(a.posed.chain, {request.effort});
  }
  if (a.solved.placement.empty())
    return hal::Error{hal::Code::internal, "a unit without a device passed the check for one"};
  if (groups == 1 && a.solved.fits && request.mode != Mode::memory) prefer_one_device(a.posed, a.solved);
  return a;
}

// Rows or sequences of a step that no executor would take.
bool too_large(const PlanRequest& request, std::int64_t groups) {
  const std::int64_t sequences = (request.sessions + groups - 1) / groups;
  return sequences > request.max_sequences || sequences * request.rows > request.chunk;
}

// More groups, of equal size, where that pays; at least `fewest`.
hal::Result<Answer> best_grouping(const probes::Machine& machine, CostModel& cost, Claims& claims,
                                  const PlanRequest& request, std::int64_t fewest) {
  HAL_TRY(Answer best, answer(machine, cost, claims, request, fewest));
  double bound = best.solved.bound;
  for (std::int64_t groups = fewest + 1; best.solved.fits && groups <= std::min(request.sessions, most_groups);
       ++groups) {
    if (request.sessions % groups) continue;
    HAL_TRY(Answer next, answer(machine, cost, claims, request, groups));
    bound = std::min(bound, next.solved.bound);
    if (next.solved.fits && next.solved.cost < best.solved.cost * (1 - simple_enough)) best = std::move(next);
  }
  best.solved.bound = bound;
  best.solved.optimal = bound >= best.solved.cost * (1 - 1e-9);
  return best;
}

}  // namespace

hal::Result<Answer> answer_for(const probes::Machine& machine, CostModel& cost, Claims& claims,
                               const PlanRequest& request) {
  if (request.groups < 0 || request.groups > request.sessions ||
      (request.groups > 1 && request.mode != Mode::throughput))
    return hal::Error{hal::Code::invalid_argument, "a plan with " + std::to_string(request.groups) + " groups of " +
                                                       std::to_string(request.sessions) + " sessions, mode " +
                                                       to_string(request.mode) +
                                                       ": groups are for the mode throughput, at most one per session"};
  if (request.mode != Mode::throughput) return answer(machine, cost, claims, request, 1);
  std::int64_t groups = std::max<std::int64_t>(request.groups, 1);
  if (request.groups == 0)  // the fewest that keep a step within its limits
    while (groups < request.sessions && (request.sessions % groups || too_large(request, groups))) ++groups;
  if (too_large(request, groups))
    return hal::Error{hal::Code::invalid_argument,
                      "a step of " + std::to_string(request.sessions) + " sessions with " +
                          std::to_string(request.rows) + " rows each, in " + std::to_string(groups) +
                          " groups: a step has at most " + std::to_string(request.chunk) + " rows of " +
                          std::to_string(request.max_sequences) + " sessions; ask for more groups or fewer rows"};
  return request.groups == 0 ? best_grouping(machine, cost, claims, request, groups)
                             : answer(machine, cost, claims, request, groups);
}

}  // namespace switchyard::scheduler
