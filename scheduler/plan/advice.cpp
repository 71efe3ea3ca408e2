// What speaks against the other devices of a unit, and what would make a plan better.
#include <algorithm>
#include <cmath>

#include "scheduler/plan/answer.h"
#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {
namespace {

double used_of(const LimitRow& l, const Answer& a, const Plan& plan) {
  const Placement& x = a.solved.placement;
  switch (l.of) {
    case Quantity::step: return plan.round_seconds;
    case Quantity::prompt: return plan.prefill_seconds;
    case Quantity::energy: return plan.step_joules.value_or(0);
    case Quantity::elsewhere_seconds: {
      double seconds = 0;
      for (std::size_t u = 0; u < x.size(); ++u) seconds += a.problem.of_unit(l.of, u, a.posed.devices[u][x[u]]);
      return seconds;
    }
    default: return static_cast<double>(taken_by(a.posed.chain, x)[*l.row]);  // bytes, units: exact
  }
}

}  // namespace

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
  for (std::size_t i = 0; i < p.rows.size(); ++i)
    if (taken[i] > c.limit[i]) {
      r.why += "would take " + gigabytes(static_cast<hal::Bytes>(taken[i] - c.limit[i])) + " more than " +
               p.rows[i].name + " has";
      return r;
    }
  for (const LimitRow& l : posed.limits)
    if (l.row && taken[*l.row] > c.limit[*l.row]) {
      r.why += "would be " + amount_of(l.of, static_cast<double>(taken[*l.row] - c.limit[*l.row]) / scale_of(l.of)) +
               " beyond the limit of " + name_of(l);
      return r;
    }
  if (mode == Mode::memory) {
    r.why += more > 0 ? "a larger share of its memory" : "as good; other layers need its memory";
    return r;
  }
  if (mode == Mode::energy) {
    r.why += more > 0 ? "+" + amount_of(Quantity::energy, more) : "no more energy";
    return r;
  }
  if (p.groups > 1) {
    const double longer = round_of(c, y, a.slower, p.groups) - a.solved.cost;
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

std::vector<More> better_with(const Problem& p, const Chain& chain, const ChainResult& solved) {
  constexpr double worth_it = 0.02, steps[] = {0.05, 0.1, 0.25, 0.5, 1}, effort = 0.2;
  std::vector<More> found;
  for (std::size_t r = 0; r < p.rows.size() && !solved.price.empty(); ++r) {
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

std::vector<KeptLimit> kept_limits(const Answer& a, CostModel& cost, const PlanRequest& request, const Plan& plan) {
  std::vector<KeptLimit> all;
  for (const LimitRow& l : a.posed.limits) {
    KeptLimit& kept = all.emplace_back();
    kept.what = name_of(l);
    kept.limit = l.limit;
    kept.used = used_of(l, a, plan);
    if (!l.row) continue;  // a round is the objective itself
    Posed other = a.posed;
    auto better = [&] {
      const ChainResult r = a.problem.groups > 1 ? shortest_round(cost, a.problem, other, request).solved
                                                 : solve(other.chain, {request.effort, &a.solved});
      const double share = r.fits ? 1 - r.cost / a.solved.cost : 0;
      return share > simple_enough ? share : 0;
    };
    lift(l, other.chain);
    kept.better_without = better();
    if (kept.better_without <= 0) continue;
    const std::int64_t limit = a.posed.chain.limit[*l.row];
    other.chain.limit[*l.row] = limit + (l.of == Quantity::elsewhere ? 1 : limit / 10);
    kept.better_with_more = better();
  }
  return all;
}

}  // namespace switchyard::scheduler
