// Pair plans for tests: machines drawn by chance, and the definition of what a pair plan costs and takes, counted anew.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "scheduler/plan/pair.h"
#include "scheduler/plan/problem.h"
#include "tests/support/planning.h"

namespace switchyard::test {

inline constexpr hal::Bytes claimed_scratch = 10'000'000;  // of take_all

struct Dice {
  std::mt19937_64 random;
  double real(double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); }
  std::int64_t whole(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random);
  }
};

inline void set_copies(probes::CopyCurve& curve, double latency, double per_second) {
  curve.points.clear();
  for (hal::Bytes bytes : {hal::Bytes{4096}, hal::Bytes{64} << 20}) {
    const double t = latency + static_cast<double>(bytes) / per_second;
    curve.points.push_back({bytes, {t, t, t, 0, 5, 1, 1}});
  }
}

// Devices that differ in what they are good at.
inline Place random_machine(const std::string& name, Dice& dice) {
  auto p = place(name);
  for (auto& d : p.profile.devices) {
    d.read.per_second *= std::exp(dice.real(-2, 1));
    for (auto products : {kernels::Products::f32, kernels::Products::int8})
      d.compute[products].per_second *= std::exp(dice.real(-2, 3));
    for (auto* curve : {&d.to_device, &d.to_host}) {
      const double latency = dice.real(5e-6, 5e-4);  // one draw after another, whatever order arguments have
      set_copies(*curve, latency, dice.real(2e9, 20e9));
    }
  }
  return p;
}

inline scheduler::PairRequest pair_request(std::vector<double> megabytes, std::int64_t context, std::int64_t prompt,
                                           std::int64_t output) {
  scheduler::PairRequest r;
  r.plan.model = "sample";
  for (double mb : megabytes) {
    const auto u = static_cast<std::int64_t>(r.plan.units.size());
    r.plan.units.push_back(unit("layer " + std::to_string(u), u, mb, static_cast<hal::Bytes>(1e5 * mb)));
    if (u % 2) r.plan.units.back().zeros = r.plan.units.back().state;  // does not grow
  }
  r.plan.context = context;
  r.plan.prompt = prompt;
  r.plan.chunk = 64;
  r.output = output;
  return r;
}

// The last unit has the first's constants: a tied embedding and head.
inline void tie(scheduler::PairRequest& r) { r.plan.units.back().segment = r.plan.units.front().segment; }

// The definition, straight from the cost model and the machine.
struct PairReference {
  Place& p;
  const scheduler::PairRequest& r;
  scheduler::CostModel cost{p.profile};
  std::vector<const probes::Door*> doors = p.machine.doors();

  std::size_t units() const { return r.plan.units.size(); }
  const std::string& id(std::size_t d) const { return doors[d]->info.id; }

  double prefill(std::size_t u, std::size_t d, std::int64_t n) {
    double t = 0;
    for (std::int64_t past = 0; past < n; past += r.plan.chunk)
      t += cost.unit(id(d), r.plan.units[u].segment, {std::min(r.plan.chunk, n - past), 1, past, 1})->seconds;
    return t;
  }
  double decode(std::size_t u, std::size_t d, std::int64_t n) {
    return cost.unit(id(d), r.plan.units[u].segment, {1, 1, n + (r.output - 1) / 2, 1})->seconds;
  }
  double prefill_move(const std::string& from, const std::string& to, std::int64_t n) {
    double t = 0;
    for (std::int64_t past = 0; past < n; past += r.plan.chunk)
      t += cost.move(from, to, 4096.0 * static_cast<double>(std::min(r.plan.chunk, n - past))).seconds;
    return t;
  }
  hal::Bytes state(std::size_t u, std::int64_t n) const {
    const scheduler::Unit& unit = r.plan.units[u];
    return unit.zeros ? unit.state : unit.state * static_cast<hal::Bytes>(n) / static_cast<hal::Bytes>(r.plan.context);
  }
  double handoff(std::size_t u, std::size_t a, std::size_t b, std::int64_t n) {
    return a == b ? 0 : cost.move(id(a), id(b), static_cast<double>(state(u, n))).seconds;
  }
  hal::Bytes held(std::size_t u) const {
    const scheduler::Unit& unit = r.plan.units[u];
    return unit.state * static_cast<hal::Bytes>(r.plan.sessions) + unit.zeros;
  }
  bool one_copy(std::size_t a, std::size_t b) const {
    return std::any_of(r.one_copy.begin(), r.one_copy.end(), [&](const auto& pair) {
      return std::set<std::string>{pair.first, pair.second} == std::set<std::string>{id(a), id(b)};
    });
  }

  double seconds(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
    const std::int64_t n = r.plan.prompt;
    const auto m = static_cast<double>(r.output);
    double t = 0;
    std::string prefill_at, decode_at;
    for (std::size_t u = 0; u < units(); ++u) {
      t += prefill_move(prefill_at, id(a[u]), n) + m * cost.move(decode_at, id(b[u]), 4096).seconds;
      t += prefill(u, a[u], n) + m * decode(u, b[u], n) + handoff(u, a[u], b[u], n);
      prefill_at = id(a[u]);
      decode_at = id(b[u]);
    }
    return t + prefill_move(prefill_at, "", n) + m * cost.move(decode_at, "", 4096).seconds;
  }
  bool fits(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
    std::map<std::string, hal::Bytes> pool, own;
    auto take = [&](std::size_t d, hal::Bytes bytes, bool in_pool = true) {
      if (in_pool) pool[p.machine.pool_of(id(d))->name] += bytes;
      own[id(d)] += bytes;
    };
    std::set<std::size_t> used;
    std::map<std::uint64_t, std::pair<hal::Bytes, std::set<std::size_t>>> constants;  // by key: bytes, where needed
    for (std::size_t u = 0; u < units(); ++u)
      for (std::size_t d : std::set<std::size_t>{a[u], b[u]}) {
        take(d, held(u));
        used.insert(d);
        const hal::Segment& s = r.plan.units[u].segment;
        for (const auto& c : s.constants) {
          constants[c.key].first = hal::max_bytes(s.values[c.value]);
          constants[c.key].second.insert(d);
        }
      }
    for (const auto& [key, constant] : constants)
      for (std::size_t d : constant.second)
        take(d, constant.first, std::none_of(constant.second.begin(), constant.second.find(d), [&](std::size_t before) {
               return one_copy(before, d);
             }));
    for (std::size_t d : used) take(d, claimed_scratch);
    for (const auto& q : p.machine.pools)
      if (pool[q.name] > q.budget) return false;
    for (const auto* door : doors)
      if (door->budget && own[door->info.id] > door->budget) return false;
    return true;
  }
  // Of all pairs of all units; single: with one device for both phases.
  double best(bool single) {
    const std::size_t k = doors.size();
    double least = scheduler::never;
    std::vector<std::size_t> a(units(), 0), b(units(), 0);
    std::vector<std::vector<double>> whole(units()), step(units());
    for (std::size_t u = 0; u < units(); ++u)
      for (std::size_t d = 0; d < k; ++d) {
        whole[u].push_back(prefill(u, d, r.plan.prompt));
        step[u].push_back(decode(u, d, r.plan.prompt));
      }
    std::function<void(std::size_t, double)> place = [&](std::size_t u, double below) {
      if (below >= least) return;  // moves only add
      if (u == units()) {
        if (fits(a, b)) least = std::min(least, seconds(a, b));
        return;
      }
      for (a[u] = 0; a[u] < k; ++a[u])
        for (b[u] = single ? a[u] : 0; b[u] < (single ? a[u] + 1 : k); ++b[u])
          place(u + 1, below + whole[u][a[u]] + static_cast<double>(r.output) * step[u][b[u]]);
    };
    place(0, 0);
    return least;
  }
};

// One device is for prompts, the other for tokens.
inline Place opposites() {
  auto p = place("laptop");
  for (auto& d : p.profile.devices) {
    const bool prompts = d.id == "vulkan:0";
    d.read.per_second = d.id == "cpu:0" ? 100e9 : prompts ? 20e9 : 1e9;
    for (auto products : {kernels::Products::f32, kernels::Products::int8})
      d.compute[products].per_second = prompts ? 20e12 : 100e9;
    set_copies(d.to_device, 1e-5, 10e9);
    set_copies(d.to_host, 1e-5, 10e9);
  }
  return p;
}

}  // namespace switchyard::test
