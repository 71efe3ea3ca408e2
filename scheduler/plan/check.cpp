// The judge of plans: counts for itself, and shares with the planner only the question what a device would take.
#include <algorithm>
#include <cmath>
#include <set>

#include "probes/json.h"
#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {
namespace {

hal::Error wrong(const std::string& text) { return {hal::Code::invalid_argument, "plan: " + text}; }

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
    const Place& place = p.places[u][d];
    if (!place.possible && !layer.experts)
      return wrong(layer.layer + " is placed on " + layer.device + ", which refuses it (" +
                   place.refusals.front().code + "): " + place.refusals.front().detail);
    if (!layer.experts && !p.allows(u, d))
      return wrong(layer.layer + " is pinned to " + p.devices[static_cast<std::size_t>(p.pinned[u])]->info.id +
                   ", and placed on " + layer.device);
    if (layer.experts && (p.pinned[u] >= 0 || p.groups > 1))
      return wrong(layer.layer + " shares its experts with " + layer.experts->device +
                   (p.pinned[u] >= 0 ? ", and is pinned" : ", and groups of sessions are in flight"));
    if (!std::isfinite(layer.seconds) || layer.seconds < 0)
      return wrong(layer.layer + " is predicted to take " + std::to_string(layer.seconds) + " s");
    auto add = [&](std::size_t on, hal::Bytes bytes) {
      if (used.insert(p.devices[on]->info.id).second) bytes += p.fixed[on];
      for (auto r : p.rows_of[on]) taken[r] += static_cast<std::int64_t>(bytes);
    };
    if (layer.experts) {
      const auto other = std::find_if(p.devices.begin(), p.devices.end(), [&](const probes::Door* door) {
        return door->info.id == layer.experts->device && door->info.id != layer.device;
      });
      if (other == p.devices.end())
        return wrong(layer.layer + " shares its experts with " + layer.experts->device + ", no other device here");
      const Unit& unit = request.units[u];
      HAL_TRY(const ExpertBytes bytes,
              expert_bytes(p.devices[d]->info, (*other)->info, unit.segment, layer.experts->chosen, request, claims));
      add(d, bytes.own + session_bytes(request, unit));
      add(static_cast<std::size_t>(other - p.devices.begin()), bytes.other);
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
  // A plan for more sessions or a longer context than asked takes more than this request does.
  if (plan.context == request.context && plan.sessions == request.sessions && plan.total_bytes != total)
    return wrong("counts " + std::to_string(plan.total_bytes) + " bytes, there are " + std::to_string(total));
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
