#include "scheduler/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "scheduler/plan/answer.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {

const char* to_string(Mode mode) {
  switch (mode) {
    case Mode::latency: return "latency";
    case Mode::ttft: return "ttft";
    case Mode::throughput: return "throughput";
    case Mode::memory: return "memory";
    case Mode::energy: return "energy";
  }
  return "unknown";
}

hal::Result<Mode> mode_from(std::string_view name) {
  std::string all;
  for (Mode m : {Mode::latency, Mode::ttft, Mode::throughput, Mode::memory, Mode::energy}) {
    if (name == to_string(m)) return m;
    all += (all.empty() ? "" : ", ") + std::string(to_string(m));
  }
  return hal::Error{hal::Code::invalid_argument, "mode '" + std::string(name) + "'; there are: " + all};
}

std::vector<std::string> Plan::devices() const {
  std::vector<std::string> ids;
  for (const PlannedLayer& l : layers) ids.push_back(l.device);
  return ids;
}

namespace {

struct Errors {               // of estimates of one kind, which err alike, so they add up
  double known = 0, off = 0;  // seconds whose error is known, and how far off they may be

  void add(const Estimate& e) {
    if (!e.error) return;
    known += e.seconds;
    off += *e.error * e.seconds;
  }
};

// Places the units, and adds up their seconds.
Errors write_units(const Answer& a, const PlanRequest& request, Plan& plan) {
  const Problem& p = a.problem;
  const bool prefill = request.mode == Mode::ttft;
  std::set<std::size_t> copied;
  Errors errors;
  for (std::size_t u = 0; u < request.units.size(); ++u) {
    const std::size_t option = a.solved.placement[u], on = a.posed.devices[u][option];
    const Place& place = p.places[u][on];
    const ExpertOption* experts = p.experts_of(a.posed, u, option);
    const Estimate &decode = experts ? experts->decode : place.decode,
                   &whole = experts ? experts->prefill : place.prefill;
    Estimate e = prefill ? whole : decode;
    if (const double slower = p.groups > 1 ? a.slower[u][option] : 1; slower > 1) {
      e.seconds *= slower;
      e.detail += (e.detail.empty() ? "" : ", ") + number("x%.2f beside others", slower);
    }
    PlannedLayer layer{request.units[u].name,
                       p.devices[on]->info.id,
                       e.seconds,
                       0,
                       to_string(e.how),
                       e.detail,
                       {},
                       {},
                       e.error,
                       {},
                       {}};
    if (experts) {
      layer.bytes = experts->bytes + experts->other_bytes;
      if (p.power[on] && p.power[experts->other]) layer.joules = p.of_experts(Quantity::energy, *experts);
      layer.experts =
          PlannedExperts{p.devices[experts->other]->info.id, experts->chosen, decode.seconds, whole.seconds};
    } else {
      layer.bytes = place.bytes;
      for (std::size_t copy : place.copies) layer.bytes += copied.insert(copy).second ? p.copies[copy].bytes : 0;
      if (p.power[on]) layer.joules = p.of_unit(Quantity::energy, u, on) * (p.groups > 1 ? a.slower[u][option] : 1);
    }
    layer.runner_up = runner_up(a, u, request.mode);
    for (std::size_t d = 0; d < p.devices.size(); ++d) {
      const auto& refusals = p.places[u][d].refusals;
      layer.refused.insert(layer.refused.end(), refusals.begin(), refusals.end());
      if (refusals.empty() && !p.allows(u, d))
        layer.refused.push_back({p.devices[d]->info.id, "pinned", "asked to run on " + layer.device});
    }
    plan.layers.push_back(std::move(layer));
    plan.step_seconds += prefill ? decode.seconds : e.seconds;
    plan.prefill_seconds += whole.seconds;
    errors.add(e);
  }
  return errors;
}

// Energy of the units, where every device that is used has a figure.
void write_power(const Answer& a, Plan& plan) {
  const Problem& p = a.problem;
  double joules = 0;
  for (const PlannedLayer& l : plan.layers) {
    if (!l.joules) return;
    joules += *l.joules;
  }
  plan.step_joules = joules;
  auto add = [&](const std::string& device, const probes::Power& power) {
    plan.powers.push_back({device, power.watts, source_of(power), power.from});
  };
  if (p.rest) add("", *p.rest);
  auto used = plan.devices();
  for (const PlannedLayer& l : plan.layers)
    if (l.experts) used.push_back(l.experts->device);
  for (std::size_t d = 0; d < p.devices.size(); ++d)
    if (const std::string& id = p.devices[d]->info.id; std::count(used.begin(), used.end(), id)) add(id, *p.power[d]);
}

// The moves between the units, their seconds and their energy.
void write_moves(const Answer& a, CostModel& cost, const PlanRequest& request, Plan& plan) {
  const Problem& p = a.problem;
  const bool prefill = request.mode == Mode::ttft;
  const std::size_t units = request.units.size();
  auto on = [&](std::size_t u) { return static_cast<std::int64_t>(a.posed.devices[u][a.solved.placement[u]]); };
  auto id = [&](std::int64_t d) { return d < 0 ? std::string() : p.devices[static_cast<std::size_t>(d)]->info.id; };
  for (std::size_t u = 0; u <= units; ++u) {
    const std::int64_t from = u ? on(u - 1) : -1, to = u < units ? on(u) : -1;
    const Estimate step = p.move(cost, request, u, from, to, false), whole = p.move(cost, request, u, from, to, true);
    plan.step_seconds += step.seconds;
    plan.prefill_seconds += whole.seconds;
    if (from == to) continue;
    if (plan.step_joules) *plan.step_joules += p.of_move(cost, request, Quantity::energy, u, from, to);
    const Estimate& e = prefill ? whole : step;
    const double bytes = prefill ? border_bytes(request, u, {p.chunk, 1, 0, 1}) * static_cast<double>(p.chunks)
                                 : border_bytes(request, u, p.step);
    plan.moves.push_back(
        {u < units ? request.units[u].name : "end", id(from), id(to), bytes, e.seconds, to_string(e.how)});
  }
}

}  // namespace

hal::Result<Plan> make_plan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                            const ClaimFunction& claim) {
  CostModel cost(profile);
  Claims claims(claim);
  HAL_TRY(const Answer a, answer_for(machine, cost, claims, request));
  const Problem& p = a.problem;
  const ChainResult& solved = a.solved;
  const bool prefill = request.mode == Mode::ttft;

  Plan plan;
  plan.model = request.model;
  plan.model_hash = request.model_hash;
  plan.machine = probes::key(machine);
  plan.mode = to_string(request.mode);
  plan.context = request.context;
  plan.sessions = request.sessions;
  plan.prompt = request.prompt;
  plan.fits = solved.fits;
  plan.step_rows = p.step.rows;
  plan.step_past = p.step.past;
  const auto taken = taken_by(a.posed.chain, solved.placement);
  plan.pools = pools_of(p, taken);
  for (const PoolUse& u : plan.pools) plan.total_bytes += u.within.empty() ? u.bytes : 0;
  plan.shortage = shortage_of(p, taken);
  if (solved.fits != plan.shortage.empty())
    return hal::Error{hal::Code::internal, "the plan and its memory do not agree: " + plan.shortage};
  const Errors errors = write_units(a, request, plan);
  write_power(a, plan);
  write_moves(a, cost, request, plan);
  if (errors.known > 0.5 * (prefill ? plan.prefill_seconds : plan.step_seconds))
    plan.step_error = errors.off / errors.known;
  plan.groups = p.groups;
  plan.round_seconds = p.groups > 1 ? solved.cost : plan.step_seconds;
  const std::int64_t tokens = request.mode == Mode::throughput ? request.sessions * request.rows : 1;
  plan.tokens_per_second = plan.round_seconds > 0 ? static_cast<double>(tokens) / plan.round_seconds : 0;
  plan.objective = solved.cost;
  plan.objective_bound = std::isfinite(solved.bound) ? solved.bound : solved.cost;
  plan.lower_bound_seconds = plan.objective_bound;
  if (request.mode == Mode::memory || request.mode == Mode::energy)
    plan.lower_bound_seconds = least_cost(p.chain(cost, request, Mode::latency).chain);
  plan.gap = plan.fits && solved.cost > 0 ? std::max(0.0, (solved.cost - plan.objective_bound) / solved.cost) : 0;
  plan.optimal = solved.optimal;
  plan.solved = std::make_shared<const ChainResult>(solved);
  if (request.advise && plan.fits && request.mode != Mode::memory && p.groups == 1)
    plan.better_with = better_with(p, a.posed.chain, solved);
  if (plan.fits) plan.limits = kept_limits(a, cost, request, plan);
  HAL_CHECK(judge(plan, machine, cost, claims, request));
  return plan;
}

}  // namespace switchyard::scheduler
