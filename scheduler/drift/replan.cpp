#include "scheduler/drift/replan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "scheduler/cost/cost.h"

namespace switchyard::scheduler {
namespace {

void multiply(probes::Stat& s, double factor) {
  s.median *= factor;
  s.min *= factor;
  s.max *= factor;
}

void slow_down(probes::Rate& r, double factor) {
  r.per_second /= factor;
  multiply(r.seconds, factor);
}

std::string text(const char* format, double a, double b, double c = 0) {
  char line[160];
  std::snprintf(line, sizeof line, format, a, b, c);
  return line;
}

std::string still_dwells(const MoveRule& rule, double now, std::optional<double> last_move) {
  if (!last_move || now - *last_move >= rule.dwell) return "";
  return text("moved %.1f s ago; it stays for %.0f s", now - *last_move, rule.dwell);
}

}  // namespace

probes::Profile scaled(probes::Profile profile, const std::map<std::string, double>& factors) {
  for (probes::DeviceProfile& d : profile.devices) {
    const auto found = factors.find(d.id);
    if (found == factors.end() || !std::isfinite(found->second) || found->second <= 0) continue;
    const double factor = found->second;
    for (probes::Rate* rate : {&d.read, &d.stream}) slow_down(*rate, factor);
    for (kernels::Products p : kernels::all_products) {
      slow_down(d.compute[p], factor);
      slow_down(d.peak[p], factor);
    }
    multiply(d.launch, factor);
    for (probes::OpEntry& o : d.ops) multiply(o.seconds, factor);
    for (probes::UnitEntry& u : d.units) multiply(u.seconds, factor);
  }
  return profile;
}

std::map<std::string, double> of_chips(const probes::Machine& machine, std::map<std::string, double> factors) {
  const std::map<std::string, double> own = factors;
  for (const auto& [id, factor] : own)
    if (const probes::Chip* chip = machine.chip_of(id))
      for (const probes::Door& door : chip->doors)
        if (!own.count(door.info.id)) factors[door.info.id] = std::max(factors[door.info.id], factor);
  return factors;
}

Verdict worth_moving(const MoveRule& rule, double now, std::optional<double> last_move, double current, double better,
                     double cost) {
  if (std::string stays = still_dwells(rule, now, last_move); !stays.empty()) return {false, stays};
  const double share = current > 0 ? 1 - better / current : 0;
  if (!(share >= rule.least))
    return {false, text("saves %.1f %%, and less than %.0f %% is not worth a move", 100 * share, 100 * rule.least)};
  const double saved = share * rule.horizon;
  const bool pays = saved > rule.margin * cost;
  return {pays, text(pays ? "saves %.3g s in the next %.0f s for a move of %.3g s"
                          : "saves %.3g s in the next %.0f s, too little for a move of %.3g s",
                     saved, rule.horizon, cost)};
}

double move_seconds(const Plan& from, const Plan& to, const PlanRequest& request, const probes::Profile& profile) {
  const CostModel cost(profile);
  double seconds = 0;
  for (std::size_t u = 0; u < to.layers.size(); ++u) {
    const PlannedLayer &before = from.layers[u], &after = to.layers[u];
    if (before.device == after.device) continue;
    const double state = static_cast<double>(request.units[u].state) * static_cast<double>(request.sessions),
                 weights = std::max(0.0, static_cast<double>(after.bytes) - state);
    seconds += cost.move(before.device, after.device, state).seconds + cost.move("", after.device, weights).seconds;
  }
  return seconds;
}

hal::Result<Replan> replan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                           const Plan& plan, const std::map<std::string, double>& factors, const MoveRule& rule,
                           double now, std::optional<double> last_move, const ClaimFunction& claim) {
  if (plan.model_hash != request.model_hash || plan.layers.size() != request.units.size())
    return hal::Error{hal::Code::invalid_argument, "replan: the plan places " + std::to_string(plan.layers.size()) +
                                                       " units of " + plan.model + ", the request has " +
                                                       std::to_string(request.units.size()) + " of " + request.model};
  if (request.mode == Mode::memory || request.mode == Mode::energy)
    return hal::Error{hal::Code::invalid_argument, "replan: a plan for the least " +
                                                       std::string(to_string(request.mode)) +
                                                       " is not judged by time, as a move is"};
  if (request.experts || std::any_of(plan.layers.begin(), plan.layers.end(), [](const auto& l) { return l.experts; }))
    return hal::Error{hal::Code::unsupported,
                      "replan: moves of layers whose experts lie on two devices are not costed"};
  Replan r{plan, plan, 0, {}};
  r.verdict.why = still_dwells(rule, now, last_move);
  if (!r.verdict.why.empty()) return r;
  const probes::Profile as_it_is = scaled(profile, of_chips(machine, factors));
  PlanRequest stay = request;
  stay.pins.clear();
  stay.device.clear();
  stay.limits = {};  // what is there is there
  for (std::size_t u = 0; u < plan.layers.size(); ++u) stay.pins.push_back({{u}, plan.layers[u].device});
  HAL_TRY(r.current, make_plan(machine, as_it_is, stay, claim));
  PlanRequest again = request;
  again.before = &plan;
  HAL_TRY(r.better, make_plan(machine, as_it_is, again, claim));
  r.cost = move_seconds(r.current, r.better, request, as_it_is);
  if (!r.better.fits) {
    r.verdict.why = "does not fit: " + r.better.shortage;
    return r;
  }
  r.verdict = worth_moving(rule, now, last_move, r.current.objective, r.better.objective, r.cost);
  return r;
}

}  // namespace switchyard::scheduler
