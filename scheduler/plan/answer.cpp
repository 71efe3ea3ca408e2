#include "scheduler/plan/answer.h"

#include <algorithm>

#include "scheduler/plan/limits.h"

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

// What the solver begins from: what it knew of the plan before, or of a loaded one its devices.
ChainResult beginning(const Posed& posed, const Problem& p, const PlanRequest& request) {
  ChainResult begin;
  if (!request.before) return begin;
  if (request.before->solved) begin = *request.before->solved;
  begin.placement.clear();
  for (std::size_t u = 0; u < std::min(posed.devices.size(), request.before->layers.size()); ++u)
    for (std::size_t d = 0; d < p.devices.size(); ++d)
      if (p.devices[d]->info.id == request.before->layers[u].device)
        if (const auto option = posed.option_on(u, d)) begin.placement.push_back(*option);
  return begin;
}

// Rows or sequences of a step that no executor would take.
bool too_large(const PlanRequest& request, std::int64_t groups) {
  const std::int64_t sequences = (request.sessions + groups - 1) / groups;
  return sequences > request.max_sequences || sequences * request.rows > request.chunk;
}

// Of one request; limits are its own, or some of them.
class Answerer {
 public:
  Answerer(const probes::Machine& machine, CostModel& cost, Claims& claims, const PlanRequest& request)
      : machine_(machine), cost_(cost), claims_(claims), request_(request) {}

  hal::Result<Answer> best(const Limits& limits) {
    if (request_.mode != Mode::throughput) return of(limits, 1);
    std::int64_t groups = std::max<std::int64_t>(request_.groups, 1);
    if (request_.groups == 0)  // the fewest that keep a step within what an executor takes
      while (groups < request_.sessions && (request_.sessions % groups || too_large(request_, groups))) ++groups;
    if (too_large(request_, groups))
      return hal::Error{hal::Code::invalid_argument,
                        "a step of " + std::to_string(request_.sessions) + " sessions with " +
                            std::to_string(request_.rows) + " rows each, in " + std::to_string(groups) +
                            " groups: a step has at most " + std::to_string(request_.chunk) + " rows of " +
                            std::to_string(request_.max_sequences) + " sessions; ask for more groups or fewer rows"};
    HAL_TRY(Answer best, of(limits, groups));
    if (request_.groups > 0 || limits.joules || (!best.solved.fits && limits == Limits{})) return best;
    // More groups, of equal size, where that pays.
    double bound = best.solved.bound;
    while (++groups <= std::min(request_.sessions, most_groups)) {
      if (request_.sessions % groups) continue;
      HAL_TRY(Answer next, of(limits, groups));
      bound = std::min(bound, next.solved.bound);
      if (next.solved.fits && (!best.solved.fits || next.solved.cost < best.solved.cost * (1 - simple_enough)))
        best = std::move(next);
    }
    best.solved.bound = bound;
    best.solved.optimal = bound >= best.solved.cost * (1 - 1e-9);
    return best;
  }

  // The error where no answer is within the limits. none: the nearest, in the fewest groups; free: the one without
  // them.
  hal::Status why(const Answer& none, const Answer& free) {
    const bool throughput = request_.mode == Mode::throughput;
    const std::vector<LimitRow>& limits = none.posed.limits;
    Chain bare = none.posed.chain;
    for (const LimitRow& l : limits) lift(l, bare);
    std::vector<Least> kept, alone;
    for (const LimitRow& l : limits) {
      if (throughput && l.of == Quantity::step) {  // in any groups
        Limits rest = request_.limits;
        rest.step_seconds.reset();
        ChainResult fastest = free.solved;
        if (rest != Limits{}) {
          HAL_TRY(Answer others, best(rest));
          fastest = std::move(others.solved);
        }
        kept.push_back({fastest.fits ? fastest.cost : never, fastest.bound});
        alone.push_back({free.solved.cost, free.solved.bound});
        continue;
      }
      kept.push_back(least_of(none.posed.chain, l, request_.effort));
      alone.push_back(least_of(bare, l, request_.effort));
    }
    const double longest = throughput ? request_.limits.step_seconds.value_or(never) : never;
    return impossible(request_, limits, kept, alone, none.solved.bound == never || none.solved.bound > longest);
  }

 private:
  hal::Result<Answer> of(const Limits& limits, std::int64_t groups) {
    Answer a;
    HAL_TRY(a.problem, pose(machine_, cost_, claims_, request_, groups));
    HAL_TRY(a.problem.experts, expert_options(a.problem, machine_, cost_, claims_, request_));
    a.posed = a.problem.chain(cost_, request_, request_.mode, limits);
    if (groups > 1) {
      Rounds rounds = shortest_round(cost_, a.problem, a.posed, request_);
      a.solved = std::move(rounds.solved);
      a.slower = std::move(rounds.slower);
      a.solved.fits = a.solved.fits && a.solved.cost <= limits.step_seconds.value_or(never);
    } else {
      const ChainResult begin = beginning(a.posed, a.problem, request_);
      a.solved = solve(a.posed.chain, {(request_.before ? replan_effort : 1) * request_.effort, &begin});
    }
    if (a.solved.placement.empty())
      return hal::Error{hal::Code::internal, "a unit without a device passed the check for one"};
    if (groups == 1 && a.solved.fits && request_.mode != Mode::memory) prefer_one_device(a.posed, a.solved);
    return a;
  }

  const probes::Machine& machine_;
  CostModel& cost_;
  Claims& claims_;
  const PlanRequest& request_;
};

}  // namespace

hal::Result<Answer> answer_for(const probes::Machine& machine, CostModel& cost, Claims& claims,
                               const PlanRequest& request) {
  if (request.groups < 0 || request.groups > request.sessions ||
      (request.groups > 1 && request.mode != Mode::throughput))
    return hal::Error{hal::Code::invalid_argument, "a plan with " + std::to_string(request.groups) + " groups of " +
                                                       std::to_string(request.sessions) + " sessions, mode " +
                                                       to_string(request.mode) +
                                                       ": groups are for the mode throughput, at most one per session"};
  Answerer answerer(machine, cost, claims, request);
  HAL_TRY(Answer within, answerer.best(request.limits));
  if (within.solved.fits || request.limits == Limits{}) return within;
  HAL_TRY(Answer free, answerer.best({}));
  if (!free.solved.fits) return free;  // the memory there is is too small, whatever was asked
  return answerer.why(within, free).error();
}

}  // namespace switchyard::scheduler
