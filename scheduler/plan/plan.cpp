#include "scheduler/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "scheduler/plan/problem.h"

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

hal::Status supported(Mode mode) {
  if (mode != Mode::energy) return hal::ok();
  return hal::Error{hal::Code::unsupported,
                    "mode energy needs measured energy per device, and no profile has it yet; modes: latency, ttft, "
                    "throughput, memory"};
}

std::vector<std::string> Plan::devices() const {
  std::vector<std::string> ids;
  for (const PlannedLayer& l : layers) ids.push_back(l.device);
  return ids;
}

namespace {

constexpr std::int64_t most_groups = 16;

struct Answer {
  Problem problem;
  Posed posed;
  ChainResult solved;
  std::int64_t groups = 1;
  std::optional<Rounds> rounds;  // of several groups
};

// The best other option for one unit while the others stay, and what speaks against it.
std::optional<RunnerUp> runner_up(const Answer& a, std::size_t u, Mode mode) {
  const Problem& p = a.problem;
  const Posed& posed = a.posed;
  const Placement& x = a.solved.placement;
  const Chain& c = posed.chain;
  auto place = [&](std::size_t v) { return v < x.size() ? c.units[v][x[v]].place : c.host(); };
  auto around = [&](std::size_t i) {
    const Option& o = c.units[u][i];
    return o.cost + c.move(u, u ? place(u - 1) : c.host(), o.place) + c.move(u + 1, o.place, place(u + 1));
  };
  std::size_t best = x[u];
  for (std::size_t i = 0; i < c.units[u].size(); ++i)
    if (i != x[u] && (best == x[u] || around(i) < around(best))) best = i;
  if (best == x[u]) return std::nullopt;
  const bool prefill = mode == Mode::ttft;
  auto seconds = [&](std::size_t i) {
    const Place& at = p.places[u][posed.devices[u][i]];
    if (const ExpertOption* o = p.experts_of(posed, u, i)) return (prefill ? o->prefill : o->decode).seconds;
    return (prefill ? at.prefill : at.decode).seconds;
  };
  RunnerUp r{p.devices[posed.devices[u][best]]->info.id, seconds(best), ""};
  if (const ExpertOption* o = p.experts_of(posed, u, best)) r.why = o->decode.detail + ": ";
  if (posed.devices[u][best] == posed.devices[u][x[u]] && r.why.empty()) r.why = "with all its experts: ";
  double more = around(best) - around(x[u]);
  Placement y = x;
  y[u] = best;
  auto taken = taken_by(c, y);
  for (std::size_t i = 0; i < c.rows(); ++i)
    if (taken[i] > c.limit[i]) {
      r.why += "would take " + gigabytes(static_cast<hal::Bytes>(taken[i] - c.limit[i])) + " more than " +
               p.rows[i].name + " has";
      return r;
    }
  if (mode == Mode::memory) {
    r.why += more > 0 ? "a larger share of its memory" : "as good; other layers need its memory";
    return r;
  }
  if (a.rounds) {
    const double longer = round_of(posed, y, *a.rounds, a.groups) - a.solved.cost;
    r.why += longer > 0 ? "a round takes " + milliseconds(longer) + " more" : "a round takes no less";
    return r;
  }
  double by_itself = seconds(best) - seconds(x[u]), moving = more - by_itself;
  if (more <= 0) {
    r.why += "faster here by " + milliseconds(-more) + ", but only together with a dearer move elsewhere";
  } else {
    r.why += "+" + milliseconds(more) + ": " + milliseconds(std::abs(by_itself)) +
             (by_itself < 0 ? " faster" : " slower") + " by itself, " + milliseconds(std::abs(moving)) +
             (moving < 0 ? " less" : " more") + " for moving";
  }
  return r;
}

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

// What would have to change for the next better plan: of every pool that binds, the smallest step up that pays.
std::vector<More> better_with(const Problem& p, const Chain& chain, const ChainResult& solved) {
  constexpr double worth_it = 0.02, steps[] = {0.05, 0.1, 0.25, 0.5, 1}, effort = 0.2;
  std::vector<More> found;
  for (std::size_t r = 0; r < chain.rows() && !solved.price.empty(); ++r) {
    if (solved.price[r] <= 0) continue;
    for (double step : steps) {
      Chain larger = chain;
      const auto more = static_cast<std::int64_t>(step * static_cast<double>(chain.limit[r]));
      larger.limit[r] += more;
      const ChainResult other = solve(larger, {effort, &solved});
      const double faster = other.fits ? 1 - other.cost / solved.cost : 0;
      if (faster < worth_it || fits(chain, other.placement)) continue;  // or found without the memory
      found.push_back({p.rows[r].name, static_cast<hal::Bytes>(more), faster});
      break;
    }
  }
  return found;
}

void write_memory(const Problem& p, const Chain& c, const Placement& x, Plan& plan) {
  auto used = taken_by(c, x);
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    auto bytes = static_cast<hal::Bytes>(used[r]);
    plan.pools.push_back({p.rows[r].name, bytes, p.rows[r].capacity, p.rows[r].within});
    if (p.rows[r].within.empty()) plan.total_bytes += bytes;
    if (bytes > p.rows[r].capacity)
      plan.shortage += (plan.shortage.empty() ? "" : "; ") + p.rows[r].name + " would need " + gigabytes(bytes) +
                       " and has " + gigabytes(p.rows[r].capacity);
  }
}

hal::Result<Answer> answer(const probes::Machine& machine, CostModel& cost, const PlanRequest& request,
                           const probes::Profile& profile, const ClaimFunction& claim) {
  Answer a;
  a.groups = std::max<std::int64_t>(request.groups, 1);
  HAL_TRY(a.problem, pose(machine, cost, request, claim));
  HAL_TRY(a.problem.experts, expert_options(a.problem, machine, profile, cost, request, claim));
  a.posed = a.problem.chain(cost, request, request.mode, true);
  if (a.groups > 1) {
    a.rounds = shortest_round(cost, a.problem, a.posed, request, a.groups);
    a.solved = a.rounds->solved;
    return a;
  }
  a.solved = solve(a.posed.chain, {request.effort});
  if (a.solved.placement.empty())
    return hal::Error{hal::Code::internal, "a unit without a device passed the check for one"};
  if (a.solved.fits && request.mode != Mode::memory) prefer_one_device(a.posed, a.solved);
  return a;
}

// Rows or sequences of a step that no executor would take.
bool too_large(const PlanRequest& request, std::int64_t groups) {
  const std::int64_t sequences = (request.sessions + groups - 1) / groups;
  return sequences > request.max_sequences || sequences * request.rows > request.chunk;
}

// One step of all sessions, or groups of equal size: more of them where that pays.
hal::Result<Answer> best_grouping(const probes::Machine& machine, CostModel& cost, const PlanRequest& request,
                                  const probes::Profile& profile, const ClaimFunction& claim) {
  std::int64_t fewest = 1;  // that keep a step within its limits
  while (fewest < request.sessions && (request.sessions % fewest || too_large(request, fewest))) ++fewest;
  PlanRequest other = request;
  other.groups = fewest;
  HAL_TRY(Answer best, answer(machine, cost, other, profile, claim));
  double bound = best.solved.bound;
  for (std::int64_t groups = fewest + 1; best.solved.fits && groups <= std::min(request.sessions, most_groups);
       ++groups) {
    if (request.sessions % groups) continue;
    other.groups = groups;
    HAL_TRY(Answer next, answer(machine, cost, other, profile, claim));
    bound = std::min(bound, next.solved.bound);
    if (next.solved.fits && next.solved.cost < best.solved.cost * (1 - simple_enough)) best = std::move(next);
  }
  best.solved.bound = bound;
  best.solved.optimal = bound >= best.solved.cost * (1 - 1e-9);
  return best;
}

}  // namespace

hal::Result<Plan> make_plan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                            const ClaimFunction& claim) {
  if (request.groups < 0 || request.groups > request.sessions ||
      (request.groups > 1 && request.mode != Mode::throughput))
    return hal::Error{hal::Code::invalid_argument, "a plan with " + std::to_string(request.groups) + " groups of " +
                                                       std::to_string(request.sessions) + " sessions, mode " +
                                                       to_string(request.mode) +
                                                       ": groups are for the mode throughput, at most one per session"};
  const bool choose = request.mode == Mode::throughput && request.groups == 0;
  if (request.mode == Mode::throughput && too_large(request, choose ? std::max<std::int64_t>(request.sessions, 1)
                                                                    : std::max<std::int64_t>(request.groups, 1)))
    return hal::Error{hal::Code::invalid_argument, "a step of " + std::to_string(request.sessions) + " sessions with " +
                                                       std::to_string(request.rows) + " rows each, in " +
                                                       std::to_string(std::max<std::int64_t>(request.groups, 1)) +
                                                       " groups: a step has at most " + std::to_string(request.chunk) +
                                                       " rows of " + std::to_string(request.max_sequences) +
                                                       " sessions; ask for more groups or fewer rows"};
  CostModel cost(profile);
  HAL_TRY(const Answer a, choose ? best_grouping(machine, cost, request, profile, claim)
                                 : answer(machine, cost, request, profile, claim));
  const Problem& p = a.problem;
  const Posed& posed = a.posed;
  const ChainResult& solved = a.solved;
  std::vector<std::size_t> x;  // a device per unit
  for (std::size_t u = 0; u < request.units.size(); ++u) x.push_back(posed.devices[u][solved.placement[u]]);

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
  write_memory(p, posed.chain, solved.placement, plan);
  if (solved.fits != plan.shortage.empty())
    return hal::Error{hal::Code::internal, "the plan and its memory do not agree: " + plan.shortage};

  const bool prefill = request.mode == Mode::ttft;
  std::set<std::size_t> copied;
  double known = 0, off = 0;  // seconds whose error is known; units of one kind err alike, so errors add up
  for (std::size_t u = 0; u < x.size(); ++u) {
    const Place& place = p.places[u][x[u]];
    const ExpertOption* experts = p.experts_of(posed, u, solved.placement[u]);
    const Estimate &decode = experts ? experts->decode : place.decode,
                   &whole = experts ? experts->prefill : place.prefill;
    Estimate e = prefill ? whole : decode;
    if (const double slower = a.rounds ? a.rounds->slower[u][solved.placement[u]] : 1; slower > 1) {
      e.seconds *= slower;
      char text[48];
      std::snprintf(text, sizeof text, "%sx%.2f beside others", e.detail.empty() ? "" : ", ", slower);
      e.detail += text;
    }
    hal::Bytes bytes = experts ? experts->bytes + experts->other_bytes : place.bytes;
    for (std::size_t copy : experts ? std::vector<std::size_t>{} : place.copies)
      bytes += copied.insert(copy).second ? p.copies[copy].bytes : 0;
    PlannedLayer layer{request.units[u].name,
                       p.devices[x[u]]->info.id,
                       e.seconds,
                       bytes,
                       to_string(e.how),
                       e.detail,
                       {},
                       {},
                       e.error,
                       {}};
    if (experts) layer.experts = PlannedExperts{p.devices[experts->other]->info.id, experts->chosen};
    layer.runner_up = runner_up(a, u, request.mode);
    for (std::size_t d = 0; d < p.devices.size(); ++d) {
      const auto& refusals = p.places[u][d].refusals;
      layer.refused.insert(layer.refused.end(), refusals.begin(), refusals.end());
      if (refusals.empty() && d != x[u] && !posed.option_on(u, d))
        layer.refused.push_back({p.devices[d]->info.id, "pinned", "asked to run on " + layer.device});
    }
    plan.layers.push_back(std::move(layer));
    plan.step_seconds += prefill ? decode.seconds : e.seconds;
    if (e.error) {
      known += e.seconds;
      off += *e.error * e.seconds;
    }
    plan.prefill_seconds += whole.seconds;
  }
  for (std::size_t u = 0; u <= x.size(); ++u) {
    auto from = u ? static_cast<std::int64_t>(x[u - 1]) : -1, to = u < x.size() ? static_cast<std::int64_t>(x[u]) : -1;
    Estimate step = p.move(cost, request, u, from, to, false), whole = p.move(cost, request, u, from, to, true);
    plan.step_seconds += step.seconds;
    plan.prefill_seconds += whole.seconds;
    if (from == to) continue;
    const Estimate& e = prefill ? whole : step;
    double bytes = prefill ? border_bytes(request, u, {p.chunk, 1, 0, 1}) * static_cast<double>(p.chunks)
                           : border_bytes(request, u, p.step);
    plan.moves.push_back({u < x.size() ? request.units[u].name : "end", from < 0 ? "" : p.devices[x[u - 1]]->info.id,
                          to < 0 ? "" : p.devices[x[u]]->info.id, bytes, e.seconds, to_string(e.how)});
  }
  if (known > 0.5 * (prefill ? plan.prefill_seconds : plan.step_seconds)) plan.step_error = off / known;
  plan.groups = a.groups;
  plan.round_seconds = a.rounds ? solved.cost : plan.step_seconds;
  const std::int64_t tokens = request.mode == Mode::throughput ? request.sessions * request.rows : 1;
  plan.tokens_per_second = plan.round_seconds > 0 ? static_cast<double>(tokens) / plan.round_seconds : 0;
  plan.objective = solved.cost;
  plan.objective_bound = std::isfinite(solved.bound) ? solved.bound : solved.cost;
  plan.lower_bound_seconds = plan.objective_bound;
  if (request.mode == Mode::memory)
    plan.lower_bound_seconds = least_cost(p.chain(cost, request, Mode::latency, true).chain);
  plan.gap = plan.fits && solved.cost > 0 ? std::max(0.0, (solved.cost - plan.objective_bound) / solved.cost) : 0;
  plan.optimal = solved.optimal;
  if (request.advise && plan.fits && request.mode != Mode::memory && !a.rounds)
    plan.better_with = better_with(p, posed.chain, solved);
  HAL_CHECK(check(plan, machine, profile, request, claim));
  return plan;
}

}  // namespace switchyard::scheduler
