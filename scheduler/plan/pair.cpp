#include "scheduler/plan/pair.h"

#include <algorithm>
#include <cmath>

#include "scheduler/plan/pair_costs.h"

namespace switchyard::scheduler {

bool PairPlacement::split() const {
  return std::any_of(units.begin(), units.end(), [](const PairedUnit& u) { return u.prefill != u.decode; });
}

double PairPlan::gain() const { return best.seconds > 0 ? single.seconds / best.seconds : 1; }

namespace {

using Devices = std::pair<std::size_t, std::size_t>;  // of prefill, of decode

struct PosedPairs {
  Chain chain;
  std::vector<std::vector<Devices>> devices;  // [unit][option]
};

// Without two devices for one unit where single is set.
PosedPairs pose_pairs(const PairRequest& request, const Problem& p, PairCosts& costs, const PairMemory& memory,
                      bool single) {
  const std::size_t count = p.devices.size(), units = p.places.size();
  const std::int64_t prompt = request.plan.prompt;
  const auto output = static_cast<double>(request.output);
  PosedPairs posed;
  Chain& c = posed.chain;
  c.places = count * count;
  c.devices = memory.fixed().size();
  for (const Row& row : p.rows) c.limit.push_back(static_cast<std::int64_t>(row.capacity));
  c.fixed = memory.fixed();
  for (std::size_t u = 0; u < units; ++u) {
    auto& options = c.units.emplace_back();
    auto& devices = posed.devices.emplace_back();
    for (std::size_t a = 0; a < count; ++a)
      for (std::size_t b = 0; b < count; ++b) {
        if (!p.allows(u, a) || !p.allows(u, b) || (single && a != b)) continue;
        const double seconds = costs.prefill(u, a, prompt).seconds + output * costs.decode(u, b, prompt).seconds +
                               costs.handoff(u, a, b, prompt).seconds;
        options.push_back({seconds, a * count + b, memory.used(u, a, b), memory.takes(u, a, b)});
        devices.push_back({a, b});
      }
  }
  std::map<std::pair<double, double>, std::size_t> tables;  // by the bytes that cross in a step of each phase
  for (std::size_t u = 0; u <= units; ++u) {
    const auto [table, fresh] = tables.try_emplace(
        {border_bytes(request.plan, u, {request.plan.chunk, 1, 0, 1}), border_bytes(request.plan, u, {1, 1, 0, 1})},
        c.moves.size());
    c.border.push_back(table->second);
    if (!fresh) continue;
    const std::size_t k = count + 1;  // 0: the host, d + 1: device d
    std::vector<double> whole(k * k), step(k * k);
    for (std::size_t i = 0; i < k * k; ++i) {
      const auto from = static_cast<std::int64_t>(i / k) - 1, to = static_cast<std::int64_t>(i % k) - 1;
      whole[i] = costs.prefill_move(u, from, to, prompt).seconds;
      step[i] = output * costs.decode_move(u, from, to).seconds;
    }
    auto& seconds = c.moves.emplace_back().cost;
    auto prefill = [&](std::size_t place) { return place == c.host() ? 0 : place / count + 1; };
    auto decode = [&](std::size_t place) { return place == c.host() ? 0 : place % count + 1; };
    for (std::size_t from = 0; from <= c.places; ++from)
      for (std::size_t to = 0; to <= c.places; ++to)
        seconds.push_back(whole[prefill(from) * k + prefill(to)] + step[decode(from) * k + decode(to)]);
  }
  return posed;
}

// Counts everything again from the devices of the units.
PairPlacement placement_of(const PairRequest& request, const Problem& p, PairCosts& costs, const PairMemory& memory,
                           const PosedPairs& posed, const ChainResult& solved) {
  PairPlacement made;
  const std::int64_t prompt = request.plan.prompt;
  Devices last{0, 0};
  std::uint64_t counted = (std::uint64_t{1} << p.devices.size()) - 1;  // what devices take once is of no unit
  for (std::size_t u = 0; u <= p.places.size(); ++u) {
    const bool begins = u == 0, ends = u == p.places.size();
    const Devices here = ends ? Devices{0, 0} : posed.devices[u][solved.placement[u]];
    auto device = [](bool host, std::size_t d) { return host ? std::int64_t{-1} : static_cast<std::int64_t>(d); };
    made.prefill_seconds += costs.prefill_move(u, device(begins, last.first), device(ends, here.first), prompt).seconds;
    made.step_seconds += costs.decode_move(u, device(begins, last.second), device(ends, here.second)).seconds;
    if (ends) break;
    last = here;
    const auto [a, b] = here;
    const Estimate whole = costs.prefill(u, a, prompt), step = costs.decode(u, b, prompt),
                   copy = costs.handoff(u, a, b, prompt);
    const Unit& unit = request.plan.units[u];
    auto takes = memory.takes(u, a, b);
    memory.add_fixed(memory.used(u, a, b) & ~counted, takes);
    counted |= memory.used(u, a, b);
    hal::Bytes bytes = 0;
    for (std::size_t r = 0; r < p.rows.size(); ++r)
      if (p.rows[r].within.empty()) bytes += static_cast<hal::Bytes>(takes[r]);
    PairedUnit& x = made.units.emplace_back();
    x = {unit.name,
         unit.kind.empty() ? unit.name : unit.kind,
         p.devices[a]->info.id,
         p.devices[b]->info.id,
         whole.seconds,
         step.seconds,
         to_string(whole.how),
         to_string(step.how),
         to_string(copy.how),
         a == b ? 0 : costs.state_after(u, prompt),
         bytes,
         copy.seconds};
    made.prefill_seconds += whole.seconds;
    made.step_seconds += step.seconds;
    made.handoff_seconds += copy.seconds;
    made.handoff_bytes += x.handoff_bytes;
  }
  made.seconds = made.prefill_seconds + static_cast<double>(request.output) * made.step_seconds + made.handoff_seconds;
  const auto taken = taken_by(posed.chain, solved.placement);
  made.pools = pools_of(p, taken);
  made.shortage = shortage_of(p, taken);
  made.fits = solved.fits;
  made.bound = std::isfinite(solved.bound) ? std::min(solved.bound, made.seconds) : made.seconds;
  made.gap = made.fits && !solved.optimal && made.seconds > 0 ? (made.seconds - made.bound) / made.seconds : 0;
  made.optimal = solved.optimal;
  return made;
}

hal::Status check(const PairRequest& request, const probes::Machine& machine) {
  const PlanRequest& plan = request.plan;
  const std::string asked =
      "a prompt of " + std::to_string(plan.prompt) + " tokens and " + std::to_string(request.output) + " after it";
  if (plan.prompt < 1 || request.output < 1)
    return hal::Error{hal::Code::invalid_argument, asked + ": both must be at least 1"};
  if (plan.prompt > plan.context - request.output)
    return hal::Error{hal::Code::invalid_argument,
                      asked + ": more than the context of " + std::to_string(plan.context)};
  if (const auto doors = machine.doors().size(); doors > 16)
    return hal::Error{hal::Code::unsupported, std::to_string(doors) + " devices; a pair plan takes at most 16"};
  for (const auto& [one, other] : request.one_copy) {
    const probes::Pool *a = machine.pool_of(one), *b = machine.pool_of(other);
    if (!a || !b || a != b)
      return hal::Error{hal::Code::invalid_argument,
                        "one copy of the weights for " + one + " and " + other + ": " +
                            (!a || !b ? (a ? other : one) + " is not a device of this machine"
                                      : "their memory is " + a->name + " and " + b->name)};
  }
  return hal::ok();
}

}  // namespace

hal::Result<PairPlan> make_pair_plan(const probes::Machine& machine, const probes::Profile& profile,
                                     const PairRequest& asked, const ClaimFunction& claim) {
  HAL_CHECK(check(asked, machine));
  PairRequest request = asked;
  request.plan.mode = Mode::latency;
  request.plan.limits = {};
  CostModel cost(profile);
  Claims claims(claim);
  HAL_TRY(const Problem p, pose(machine, cost, claims, request.plan));
  PairCosts costs(cost, request, p);
  const PairMemory memory(request, p);

  const PosedPairs alone = pose_pairs(request, p, costs, memory, true),
                   pairs = pose_pairs(request, p, costs, memory, false);
  const ChainResult single = solve(alone.chain, {request.plan.effort});
  if (single.placement.empty())
    return hal::Error{hal::Code::internal, "a unit without a device passed the check for one"};
  ChainResult before = single;  // the search for pairs begins there, so it never ends above it
  for (std::size_t u = 0; u < before.placement.size(); ++u) {
    const auto& all = pairs.devices[u];
    before.placement[u] = static_cast<std::size_t>(
        std::find(all.begin(), all.end(), alone.devices[u][single.placement[u]]) - all.begin());
  }
  const ChainResult paired = solve(pairs.chain, {request.plan.effort, &before});

  PairPlan plan;
  plan.model = request.plan.model;
  plan.machine = probes::key(machine);
  plan.prompt = request.plan.prompt;
  plan.output = request.output;
  plan.context = request.plan.context;
  plan.sessions = request.plan.sessions;
  plan.single = placement_of(request, p, costs, memory, alone, single);
  plan.best = placement_of(request, p, costs, memory, pairs, paired);
  for (const auto* made : {&plan.single, &plan.best})
    if (made->fits != made->shortage.empty())
      return hal::Error{hal::Code::internal, "the plan and its memory do not agree: " + made->shortage};
  plan.longest = request.plan.context - request.output;
  plan.break_even = break_evens(request, p, costs, memory, plan.longest);
  return plan;
}

}  // namespace switchyard::scheduler
