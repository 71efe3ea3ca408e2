// Throughput by several groups of sessions in flight. What a device can do is a row like its memory: seconds of its
// time that a step may take. For a given length of a round that is a chain with limits; the shortest round is found by
// bisection, and a length that provably has no placement is a lower bound.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "scheduler/plan/problem.h"
#include "scheduler/simulate/simulate.h"

namespace switchyard::scheduler {
namespace {

using Factors = std::vector<std::vector<double>>;

constexpr auto no_limit = std::int64_t{1} << 53;
// Sums of them stay exact, whatever a profile says of a move.
std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(std::min(seconds * 1e9, 0x1p44)); }

struct Load {
  double round = 0;
  std::vector<double> busy;  // per place: share of the round
};

// A move's time is that of the device it goes to.
Load load_of(const Chain& c, const Placement& x, const Factors& slower, std::int64_t groups) {
  Load load;
  std::vector<double> mine(c.places + 1, 0);
  std::size_t at = c.host();
  for (std::size_t u = 0; u <= x.size(); ++u) {
    const std::size_t to = u < x.size() ? c.units[u][x[u]].place : c.host();
    mine[to] += c.move(u, at, to) + (u < x.size() ? c.units[u][x[u]].cost * slower[u][x[u]] : 0);
    at = to;
  }
  for (double s : mine) load.round += s;
  mine.pop_back();  // the host only waits
  for (double s : mine) load.round = std::max(load.round, static_cast<double>(groups) * s);
  for (double s : mine) load.busy.push_back(static_cast<double>(groups) * s / load.round);
  return load;
}

Chain timed(const Chain& c, const Factors& slower) {
  Chain t = c;
  const std::size_t rows = c.rows();
  t.limit.resize(rows + c.places);
  for (auto& fixed : t.fixed) fixed.resize(t.rows(), 0);
  for (std::size_t u = 0; u < t.units.size(); ++u)
    for (std::size_t i = 0; i < t.units[u].size(); ++i) {
      Option& o = t.units[u][i];
      o.cost *= slower[u][i];
      o.takes.resize(t.rows(), 0);
      o.takes[rows + o.place] = nanoseconds(o.cost);
    }
  for (Moves& m : t.moves) {
    std::vector<std::int64_t> takes(m.cost.size() * t.rows(), 0);
    for (std::size_t i = 0; i < m.cost.size(); ++i) {
      for (std::size_t r = 0; r < rows && !m.takes.empty(); ++r) takes[i * t.rows() + r] = m.takes[i * rows + r];
      if (const std::size_t to = i % (c.places + 1); to < c.places)
        takes[i * t.rows() + rows + to] = nanoseconds(m.cost[i]);
    }
    m.takes = std::move(takes);
  }
  return t;
}

// cost: of a round; bound: no round is shorter.
ChainResult bisect(const Chain& plain, const Factors& slower, std::int64_t groups, double effort) {
  constexpr int steps = 10;
  constexpr double close = 1.002;
  Chain c = timed(plain, slower);
  const auto set_round = [&](double seconds) {
    for (std::size_t d = 0; d < c.places; ++d)
      c.limit[plain.rows() + d] = nanoseconds(seconds / static_cast<double>(groups)) + 1;
  };
  double least = 0;
  for (const auto& options : c.units) {
    double fewest = never;
    for (const Option& o : options) fewest = std::min(fewest, o.cost);
    least += fewest;
  }
  std::fill(c.limit.begin() + static_cast<std::ptrdiff_t>(plain.rows()), c.limit.end(), no_limit);
  ChainResult best = solve(c, {effort});
  if (!best.fits) return best;
  ChainResult last = best;
  best.bound = std::max(best.bound, static_cast<double>(groups) * least / static_cast<double>(c.places));
  best.cost = load_of(plain, best.placement, slower, groups).round;
  double low = best.bound;
  for (int i = 0; i < steps && best.cost > low * close; ++i) {
    const double round = std::sqrt(low * best.cost);
    set_round(round);
    ChainResult r = solve(c, {effort / steps, &last});
    if (r.bound > round * (1 + 1e-9)) best.bound = std::max(best.bound, round);
    if (r.fits && r.cost <= round * (1 + 1e-9)) {
      const double got = load_of(plain, r.placement, slower, groups).round;
      if (got < best.cost) {
        best.cost = got;
        best.placement = r.placement;
      }
      last = std::move(r);
    } else {
      low = round;
    }
  }
  best.price.clear();  // of time as well as memory, and of a step: no answer for a round
  best.optimal = best.bound >= best.cost * (1 - 1e-9);
  return best;
}

// How devices that work at the same time slow each other down.
class Beside {
 public:
  Beside(CostModel& cost, const Problem& p, const Posed& posed, const PlanRequest& request)
      : c_(posed.chain), groups_(p.groups) {
    for (std::size_t u = 0; u < c_.units.size(); ++u) {
      alone_.emplace_back(c_.units[u].size(), 1.0);
      by_.emplace_back();
      for (const std::size_t d : posed.devices[u]) {
        auto& of = by_.back().emplace_back();
        for (const probes::Door* other : p.devices)
          of.push_back(cost.slowed(p.devices[d]->info.id, other->info.id, request.units[u].segment, p.step) - 1);
      }
    }
  }

  const Factors& alone() const { return alone_; }
  Factors busy(const std::vector<double>& busy) const {
    Factors f = alone_;
    for (std::size_t u = 0; u < f.size(); ++u)
      for (std::size_t i = 0; i < f[u].size(); ++i)
        for (std::size_t e = 0; e < busy.size(); ++e) f[u][i] += busy[e] * by_[u][i][e];
    return f;
  }
  // As the devices of a placement slow each other down.
  Factors settled(const Placement& x) const {
    Factors f = alone_;
    for (int settle = 0; settle < 3; ++settle) f = busy(load_of(c_, x, f, groups_).busy);
    return f;
  }

 private:
  const Chain& c_;
  std::int64_t groups_;
  Factors alone_;
  std::vector<std::vector<std::vector<double>>> by_;  // [unit][option][other]: what it adds if it is always busy
};

}  // namespace

double round_beside_others(CostModel& cost, const Problem& p, const Posed& posed, const PlanRequest& request,
                           const Placement& x) {
  return round_of(posed.chain, x, Beside(cost, p, posed, request).settled(x), p.groups);
}

double round_of(const Chain& c, const Placement& x, const Factors& slower, std::int64_t groups) {
  std::vector<SimulatedStage> stages;
  std::size_t at = c.host();
  const auto each = static_cast<std::size_t>(groups);
  for (std::size_t u = 0; u < x.size(); ++u) {
    const Option& o = c.units[u][x[u]];
    const double move = c.move(u, at, o.place);
    if (o.place != at) stages.push_back({o.place, std::vector<double>(each, 0), std::vector<double>(each, move)});
    for (double& t : stages.back().compute) t += o.cost * slower[u][x[u]];
    at = o.place;
  }
  for (double& t : stages.back().compute) t += c.move(x.size(), at, c.host());
  std::map<std::size_t, std::size_t> numbers;  // of the devices that are used
  for (SimulatedStage& s : stages) s.device = numbers.try_emplace(s.device, numbers.size()).first->second;
  const auto period = steady_period(stages, each);
  return period ? *period : never;
}

Rounds shortest_round(CostModel& cost, const Problem& p, const Posed& posed, const PlanRequest& request) {
  constexpr int tries = 3;
  constexpr std::size_t most_moved = 4;
  const Chain& c = posed.chain;
  const std::int64_t groups = p.groups;
  const Beside beside(cost, p, posed, request);
  Rounds best;
  best.solved = bisect(c, beside.alone(), groups, request.effort);
  best.slower = beside.alone();
  if (!best.solved.fits) return best;
  const double bound = best.solved.bound;  // none slows the others down: still a bound
  const Placement first = std::exchange(best.solved.placement, {});
  best.solved.cost = never;
  // As a placement's devices slow each other down; kept if it is better than `than`.
  const auto consider = [&](const Placement& x, Rounds& than) {
    Factors mine = beside.settled(x);
    if (load_of(c, x, mine, groups).round * (1 + 1e-9) >= than.solved.cost) return false;
    const double round = round_of(c, x, mine, groups);
    if (round * (1 + 1e-9) >= than.solved.cost) return false;
    than.solved.placement = x;
    than.solved.cost = round;
    than.slower = std::move(mine);
    return true;
  };
  const auto try_with = [&](const Factors& mine) {
    const ChainResult other = bisect(c, mine, groups, request.effort / 4);
    return other.fits && consider(other.placement, best);
  };
  if (!consider(first, best)) return best;  // which no placement is: an error of our own, for the caller to tell
  // What is best depends on who works beside whom, and that on the placement: begun from each pair of devices that both
  // work all the time, then from what the best one so far keeps busy.
  if (best.slower != beside.alone()) {
    std::vector<double> busy(c.places, 0);
    for (std::size_t d = 0; d < c.places; ++d)
      for (std::size_t e = 0; e < d; ++e) {
        busy[d] = busy[e] = 1;
        try_with(beside.busy(busy));
        busy[d] = busy[e] = 0;
      }
    for (int i = 0; i < tries && try_with(best.slower); ++i) {
    }
  }
  // In two parts, one after the other.
  Rounds two;
  two.solved.cost = never;
  for (std::size_t d = 0; d < c.places; ++d)
    for (std::size_t e = 0; e < c.places; ++e)
      for (std::size_t cut = 1; d != e && cut < c.units.size(); ++cut) {
        Placement x;
        for (std::size_t u = 0; u < c.units.size(); ++u)
          if (auto option = posed.option_on(u, u < cut ? d : e)) x.push_back(*option);
        if (x.size() == c.units.size() && fits(c, x)) consider(x, two);
      }
  // By moving one unit or a few neighbours, from either.
  const auto improve = [&](Rounds from) {
    for (bool better = true; better;) {
      better = false;
      for (std::size_t u = 0; u < c.units.size(); ++u)
        for (std::size_t d = 0; d < c.places; ++d) {
          Placement x = from.solved.placement;
          for (std::size_t v = u; v < std::min(u + most_moved, c.units.size()); ++v) {
            const auto option = posed.option_on(v, d);
            if (!option) break;
            if (x[v] == *option) continue;
            x[v] = *option;
            const bool hopeful = load_of(c, x, from.slower, groups).round < from.solved.cost * 1.05;
            if (hopeful && fits(c, x)) better = consider(x, from) || better;
          }
        }
    }
    return from;
  };
  best = improve(std::move(best));
  if (two.solved.cost < never)
    if (Rounds other = improve(two); other.solved.cost < best.solved.cost) best = std::move(other);
  // Each part more is another hand-over that may come late: more than two must be worth it.
  if (two.solved.cost <= best.solved.cost * (1 + simple_enough)) best = std::move(two);
  best.solved.fits = true;
  best.solved.bound = bound;
  best.solved.optimal = bound >= best.solved.cost * (1 - 1e-9);
  return best;
}

}  // namespace switchyard::scheduler
