#include "scheduler/plan/plan.h"

#include <algorithm>
#include <cmath>

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

// The best other device for one unit while the others stay, and what speaks against it.
std::optional<RunnerUp> runner_up(const Problem& p, const Chain& c, const Placement& x, std::size_t u, Mode mode) {
  auto around = [&](std::size_t d) {
    return c.cost_at(u, d) + (u ? c.move_at(u, x[u - 1], d) : c.enter[d]) +
           (u + 1 < x.size() ? c.move_at(u + 1, d, x[u + 1]) : c.leave[d]);
  };
  std::size_t best = x[u];
  for (std::size_t d = 0; d < c.devices; ++d)
    if (d != x[u] && c.cost_at(u, d) < never && (best == x[u] || around(d) < around(best))) best = d;
  if (best == x[u]) return std::nullopt;
  const bool prefill = mode == Mode::ttft;
  auto seconds = [&](std::size_t d) { return (prefill ? p.places[u][d].prefill : p.places[u][d].decode).seconds; };
  RunnerUp r{p.devices[best]->info.id, seconds(best), ""};
  double more = around(best) - around(x[u]);
  Placement y = x;
  y[u] = best;
  auto used = bytes_of(c, y);
  for (std::size_t i = 0; i < c.pools && r.why.empty(); ++i)
    if (used[i] > c.capacity[i])
      r.why = "would take " + gigabytes(static_cast<hal::Bytes>(used[i] - c.capacity[i])) + " more than " +
              p.rows[i].name + " has";
  if (!r.why.empty()) return r;
  if (mode == Mode::memory) {
    r.why = more > 0 ? "a larger share of its memory" : "as good; other layers need its memory";
    return r;
  }
  double by_itself = seconds(best) - seconds(x[u]), moving = more - by_itself;
  if (more <= 0) {
    r.why = "faster here by " + milliseconds(-more) + ", but only together with a dearer move elsewhere";
  } else {
    r.why = "+" + milliseconds(more) + ": " + milliseconds(std::abs(by_itself)) +
            (by_itself < 0 ? " faster" : " slower") + " by itself, " + milliseconds(std::abs(moving)) +
            (moving < 0 ? " less" : " more") + " for moving";
  }
  return r;
}

// One device for all, if that is within `simple_enough` of the best: fewer parts, for less than measurements can tell
// apart.
void prefer_one_device(const Chain& chain, ChainResult& solved) {
  ChainResult simple = solved;
  for (std::size_t d = 0; d < chain.devices; ++d) {
    Placement x(chain.units, d);
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

void write_memory(const Problem& p, const Chain& c, const Placement& x, Plan& plan) {
  auto used = bytes_of(c, x);
  for (std::size_t r = 0; r < p.rows.size(); ++r) {
    auto bytes = static_cast<hal::Bytes>(used[r]);
    plan.pools.push_back({p.rows[r].name, bytes, p.rows[r].capacity, p.rows[r].within});
    if (p.rows[r].within.empty()) plan.total_bytes += bytes;
    if (bytes > p.rows[r].capacity)
      plan.shortage += (plan.shortage.empty() ? "" : "; ") + p.rows[r].name + " would need " + gigabytes(bytes) +
                       " and has " + gigabytes(p.rows[r].capacity);
  }
}

}  // namespace

hal::Result<Plan> make_plan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                            const ClaimFunction& claim) {
  CostModel cost(profile);
  HAL_TRY(Problem p, pose(machine, cost, request, claim));
  Chain chain = p.chain(cost, request, request.mode, true);
  ChainResult solved = solve(chain);
  if (solved.placement.empty())
    return hal::Error{hal::Code::internal, "a unit without a device passed the check for one"};
  if (solved.fits && request.mode != Mode::memory) prefer_one_device(chain, solved);
  const Placement& x = solved.placement;

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
  write_memory(p, chain, x, plan);
  if (solved.fits != plan.shortage.empty())
    return hal::Error{hal::Code::internal, "the plan and its memory do not agree: " + plan.shortage};

  const bool prefill = request.mode == Mode::ttft;
  for (std::size_t u = 0; u < x.size(); ++u) {
    const Place& place = p.places[u][x[u]];
    const Estimate& e = prefill ? place.prefill : place.decode;
    PlannedLayer layer{
        request.units[u].name, p.devices[x[u]]->info.id, e.seconds, place.bytes, to_string(e.how), e.detail, {}, {}};
    layer.runner_up = runner_up(p, chain, x, u, request.mode);
    for (std::size_t d = 0; d < p.devices.size(); ++d) {
      const auto& refusals = p.places[u][d].refusals;
      layer.refused.insert(layer.refused.end(), refusals.begin(), refusals.end());
      if (refusals.empty() && d != x[u] && chain.cost_at(u, d) == never)
        layer.refused.push_back({p.devices[d]->info.id, "pinned", "asked to run on " + layer.device});
    }
    plan.layers.push_back(std::move(layer));
    plan.step_seconds += place.decode.seconds;
    plan.prefill_seconds += place.prefill.seconds;
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
  plan.tokens_per_second = plan.step_seconds > 0 ? static_cast<double>(plan.step_rows) / plan.step_seconds : 0;
  plan.objective = solved.cost;
  plan.objective_bound = std::isfinite(solved.bound) ? solved.bound : solved.cost;
  plan.lower_bound_seconds = plan.objective_bound;
  if (request.mode == Mode::memory)
    shortest_path(p.chain(cost, request, Mode::latency, true), {}, &plan.lower_bound_seconds);
  plan.gap = plan.fits && solved.cost > 0 ? std::max(0.0, (solved.cost - plan.objective_bound) / solved.cost) : 0;
  plan.optimal = solved.optimal;
  HAL_CHECK(check(plan, machine, profile, request, claim));
  return plan;
}

}  // namespace switchyard::scheduler
