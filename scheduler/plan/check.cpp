// The judge of plans: counts for itself, and shares with the planner only the question what a device would take.
#include <algorithm>
#include <cmath>
#include <set>

#include "probes/json.h"
#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

hal::Error wrong(const std::string& text) { return {hal::Code::invalid_argument, "plan: " + text}; }

// Where a unit lies. Experts on two devices: with the seconds that the plan gives, which are of a trace.
struct Spot {
  std::size_t device = 0;
  std::optional<ExpertOption> experts{};
};

// The figures of a placement added up again.
double count(const LimitRow& l, const Problem& p, CostModel& cost, const PlanRequest& request,
             const std::vector<Spot>& on) {
  if (l.of == Quantity::step && p.groups > 1) {
    const Posed posed = p.chain(cost, request, Mode::throughput);
    Placement x;
    for (std::size_t u = 0; u < on.size(); ++u) x.push_back(*posed.option_on(u, on[u].device));
    return round_beside_others(cost, p, posed, request, x);
  }
  double sum = 0;
  std::set<std::size_t> used, copied;
  const bool bytes = l.of == Quantity::memory || l.of == Quantity::pool;
  auto use = [&](std::size_t d) {
    if (bytes && p.counts(l.name, d) && used.insert(d).second) sum += static_cast<double>(p.fixed[d]);
  };
  for (std::size_t u = 0; u <= on.size(); ++u) {
    const std::int64_t from = u ? static_cast<std::int64_t>(on[u - 1].device) : -1,
                       to = u < on.size() ? static_cast<std::int64_t>(on[u].device) : -1;
    sum += p.of_move(cost, request, l.of, u, from, to);
    if (u == on.size()) continue;
    const std::size_t d = on[u].device;
    use(d);
    if (const auto& experts = on[u].experts) {
      use(experts->other);
      sum += p.of_experts(l.of, *experts, l.name);
      continue;
    }
    if (l.of == Quantity::pool && !p.counts(l.name, d)) continue;
    sum += p.of_unit(l.of, u, d);
    for (std::size_t copy : p.places[u][d].copies)
      if (bytes && copied.insert(copy).second) sum += static_cast<double>(p.copies[copy].bytes);
  }
  return sum;
}

// A layer with experts on another device than its own, counted afresh.
hal::Result<ExpertOption> shared_experts(const PlannedLayer& layer, const Problem& p, std::size_t own,
                                         const PlanRequest& request, std::size_t unit, const Claims& claims) {
  const PlannedExperts& e = *layer.experts;
  const auto shares = [&](const std::string& why) {
    return wrong(layer.layer + " shares its experts with " + e.device + ", " + why);
  };
  if (p.pinned[unit] >= 0) return shares("and is pinned");
  if (p.groups > 1) return shares("and groups of sessions are in flight");
  ExpertOption o{own, 0, e.chosen, {}, {}, 0, 0};
  while (o.other < p.devices.size() && p.devices[o.other]->info.id != e.device) ++o.other;
  if (o.other == p.devices.size() || o.other == own) return shares("no other device here");
  if (request.limits.joules && !(p.power[own] && p.power[o.other])) return shares("and one has no figure of energy");
  for (double seconds : {e.step_seconds, e.prefill_seconds})
    if (!std::isfinite(seconds) || seconds < 0)
      return wrong(layer.layer + " is predicted to take " + std::to_string(seconds) + " s");
  HAL_TRY(const ExpertBytes bytes, expert_bytes(p.devices[own]->info, p.devices[o.other]->info,
                                                request.units[unit].segment, e.chosen, request, claims));
  o.decode.seconds = e.step_seconds;
  o.prefill.seconds = e.prefill_seconds;
  o.bytes = bytes.own + session_bytes(request, request.units[unit]);
  o.other_bytes = bytes.other;
  return o;
}

bool same(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b)); }  // as sums go

// What was asked for is kept, and what the plan says of it is so.
hal::Status judge_limits(const Plan& plan, const Problem& p, CostModel& cost, const PlanRequest& request,
                         const std::vector<Spot>& on) {
  for (const KeptLimit& kept : plan.limits)
    if (!(kept.used >= 0) || !(kept.used <= kept.limit * (1 + 1e-9)))
      return wrong("says that it keeps a limit of " + kept.what + " and takes " + number("%g", kept.used) + " of " +
                   number("%g", kept.limit));
  for (const LimitRow& l : limit_rows(request.limits)) {
    const double used = count(l, p, cost, request, on);
    if (used > l.limit * (scale_of(l.of) > 1 ? 1 + 1e-9 : 1))
      return wrong("takes " + amount_of(l.of, used) + " of " + name_of(l) + ", the limit is " +
                   amount_of(l.of, l.limit));
    for (const KeptLimit& kept : plan.limits)
      if (kept.what == name_of(l) && !same(kept.used, used))
        return wrong("counts " + amount_of(l.of, kept.used) + " of " + name_of(l) + ", there are " +
                     amount_of(l.of, used));
  }
  return hal::ok();
}

}  // namespace

hal::Status judge(const Plan& plan, const probes::Machine& machine, CostModel& cost, Claims& claims,
                  const PlanRequest& request) {
  if (plan.model_hash != request.model_hash)
    return wrong("was made for model " + plan.model + " (" + probes::hash_text(plan.model_hash) + "), this is " +
                 request.model + " (" + probes::hash_text(request.model_hash) + ")");
  if (plan.machine != probes::key(machine))
    return wrong("was made for machine " + plan.machine + ", this one is " + probes::key(machine) +
                 " (another chip, driver or memory size)");
  if (plan.layers.size() != request.units.size())
    return wrong("places " + std::to_string(plan.layers.size()) + " units, the model has " +
                 std::to_string(request.units.size()));
  if (plan.context < request.context || plan.sessions < request.sessions)
    return wrong("keeps memory for " + std::to_string(plan.sessions) + " sessions of " + std::to_string(plan.context) +
                 " tokens, asked are " + std::to_string(request.sessions) + " of " + std::to_string(request.context));
  if (plan.groups < 1 || plan.groups > plan.sessions)
    return wrong("has " + std::to_string(plan.groups) + " groups of " + std::to_string(plan.sessions) +
                 " sessions: from 1 to one per session are possible");
  HAL_TRY(const Problem p, pose(machine, cost, claims, request, plan.groups));
  std::vector<std::int64_t> taken(p.rows.size(), 0);
  std::set<std::string> used;
  std::set<std::size_t> copied;
  std::vector<Spot> on;
  for (std::size_t u = 0; u < plan.layers.size(); ++u) {
    const PlannedLayer& layer = plan.layers[u];
    if (layer.layer != request.units[u].name)
      return wrong("unit " + std::to_string(u) + " is called " + layer.layer + ", the model's is " +
                   request.units[u].name);
    auto found = std::find_if(p.devices.begin(), p.devices.end(),
                              [&](const probes::Door* d) { return d->info.id == layer.device; });
    if (found == p.devices.end())
      return wrong(layer.layer + " is placed on " + layer.device + ", which this machine has not");
    auto d = static_cast<std::size_t>(found - p.devices.begin());
    on.push_back({d});
    const Place& place = p.places[u][d];
    if (!place.possible && !layer.experts)
      return wrong(layer.layer + " is placed on " + layer.device + ", which refuses it (" +
                   place.refusals.front().code + "): " + place.refusals.front().detail);
    if (!layer.experts && !p.allows(u, d))
      return wrong(layer.layer + " is pinned to " + p.devices[static_cast<std::size_t>(p.pinned[u])]->info.id +
                   ", and placed on " + layer.device);
    if (!std::isfinite(layer.seconds) || layer.seconds < 0)
      return wrong(layer.layer + " is predicted to take " + std::to_string(layer.seconds) + " s");
    auto add = [&](std::size_t at, hal::Bytes bytes) {
      if (used.insert(p.devices[at]->info.id).second) bytes += p.fixed[at];
      for (auto r : p.rows_of[at]) taken[r] += static_cast<std::int64_t>(bytes);
    };
    if (layer.experts) {
      HAL_TRY(on.back().experts, shared_experts(layer, p, d, request, u, claims));
      add(d, on.back().experts->bytes);
      add(on.back().experts->other, on.back().experts->other_bytes);
      continue;
    }
    hal::Bytes bytes = place.bytes;
    for (std::size_t copy : place.copies) bytes += copied.insert(copy).second ? p.copies[copy].bytes : 0;
    add(d, bytes);
  }
  const std::string shortage = shortage_of(p, taken);
  hal::Bytes total = 0;
  for (const PoolUse& u : pools_of(p, taken)) total += u.within.empty() ? u.bytes : 0;
  if (plan.fits && !shortage.empty()) return hal::Error{hal::Code::out_of_memory, "plan: does not fit: " + shortage};
  if (!plan.fits && shortage.empty()) return wrong("says that it does not fit (" + plan.shortage + "), but it does");
  if (plan.fits) HAL_CHECK(judge_limits(plan, p, cost, request, on));
  // A plan for more sessions or a longer context than asked takes more than this request does.
  if (plan.context != request.context || plan.sessions != request.sessions) return hal::ok();
  if (plan.total_bytes != total)
    return wrong("counts " + std::to_string(plan.total_bytes) + " bytes, there are " + std::to_string(total));
  for (const PoolUse& there : pools_of(p, taken))
    for (const PoolUse& said : plan.pools)
      if (said.pool == there.pool && said.bytes != there.bytes)
        return wrong("counts " + std::to_string(said.bytes) + " bytes in " + said.pool + ", there are " +
                     std::to_string(there.bytes));
  return hal::ok();
}

hal::Status check(const Plan& plan, const probes::Machine& machine, const probes::Profile& profile,
                  const PlanRequest& request, const ClaimFunction& claim) {
  CostModel cost(profile);
  Claims claims(claim);
  return judge(plan, machine, cost, claims, request);
}

hal::Result<Plan> load_plan(std::string_view text, const probes::Machine& machine, const probes::Profile& profile,
                            const PlanRequest& request, const ClaimFunction& claim) {
  HAL_TRY(Plan plan, plan_from_json(text));
  HAL_CHECK(check(plan, machine, profile, request, claim));
  return plan;
}

}  // namespace switchyard::scheduler
