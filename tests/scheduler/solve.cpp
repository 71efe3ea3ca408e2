// The solver against every placement there is, on random small problems.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "scheduler/solve/cuts.h"
#include "scheduler/solve/master.h"

namespace switchyard::scheduler {
namespace {

struct Dice {
  std::mt19937_64 random;
  double real(double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); }
  std::int64_t whole(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(whole(0, static_cast<std::int64_t>(n) - 1)); }
};

struct Sort {
  std::size_t units, devices, pools;
  double room;            // limits as a multiple of what some random placement takes; 10: never binding
  bool fixed = false;     // devices take something once
  bool shared = false;    // options on two devices at once
  bool timed = false;     // one more row, of which moves take too
  std::size_t kinds = 0;  // units of one kind have the same options; 0: each is its own
  bool tied = false;      // the first and the last unit share a copy on each device
};

// A copy has a bit beyond the places. It may be all that a unit takes there, and another device may read it. Of one row
// moves may take too.
void share_copies(Chain& c, const std::vector<std::size_t>& pool_of, Dice& dice) {
  for (std::size_t d = 0; d < c.places; ++d) {
    const std::uint64_t copy = std::uint64_t{1} << c.devices++;
    c.fixed.emplace_back(c.rows(), 0)[pool_of[d]] = dice.whole(5, 60);
    for (auto* options : {&c.units.front(), &c.units.back()})
      for (Option& o : *options) {
        if (o.place != d && dice.below(12)) continue;
        o.devices |= copy;
        if (dice.below(3) == 0) o.takes[pool_of[d]] = 0;
      }
  }
  if (dice.below(3)) return;
  for (Moves& m : c.moves) {
    m.takes.resize(m.cost.size() * c.rows(), 0);
    for (std::size_t i = 0; i < m.cost.size(); ++i)
      if (m.cost[i] > 0) m.takes[i * c.rows()] += dice.whole(0, 20);
  }
}

Chain random_chain(std::uint64_t seed, const Sort& sort) {
  Dice dice{std::mt19937_64(seed)};
  Chain c;
  c.places = c.devices = sort.devices;
  const std::size_t rows = sort.pools + (sort.timed ? 1 : 0), k = sort.devices + 1;
  c.limit.assign(rows, 0);
  std::vector<std::size_t> pool_of(sort.devices);
  for (auto& p : pool_of) p = dice.below(sort.pools);
  c.fixed.assign(sort.devices, std::vector<std::int64_t>(rows, 0));
  for (std::size_t d = 0; d < sort.devices; ++d)
    if (sort.fixed) c.fixed[d][pool_of[d]] = dice.whole(0, 30);
  for (std::size_t table = 0; table < 2; ++table) {
    Moves& m = c.moves.emplace_back();
    for (std::size_t from = 0; from < k; ++from)
      for (std::size_t to = 0; to < k; ++to) {
        m.cost.push_back(from == to ? 0 : dice.real(0, 20));
        for (std::size_t r = 0; r < rows && sort.timed; ++r)
          m.takes.push_back(r == sort.pools && from != to ? dice.whole(0, 10) : 0);
      }
  }
  for (std::size_t u = 0; u <= sort.units; ++u) c.border.push_back(dice.below(2));
  for (std::size_t u = 0; u < sort.units; ++u) {
    if (sort.kinds && u >= sort.kinds) {
      const auto alike = c.units[dice.below(sort.kinds)];
      c.units.push_back(alike);
      continue;
    }
    const std::int64_t size = dice.whole(1, 100);
    auto& options = c.units.emplace_back();
    for (std::size_t d = 0; d < sort.devices; ++d) {
      if (dice.whole(0, 9) == 0) continue;
      Option o{dice.real(0.1, 1.0) * static_cast<double>(size), d, std::uint64_t{1} << d, {}};
      o.takes.assign(rows, 0);
      o.takes[pool_of[d]] = size + dice.whole(0, 5);
      if (sort.timed) o.takes[sort.pools] = dice.whole(0, 100);
      options.push_back(o);
      const std::size_t other = dice.below(sort.devices);
      if (!sort.shared || other == d) continue;
      o.cost *= 0.7;
      o.devices |= std::uint64_t{1} << other;
      o.takes[pool_of[d]] -= size / 2;
      o.takes[pool_of[other]] += size / 2;
      options.push_back(o);
    }
  }
  if (sort.tied) share_copies(c, pool_of, dice);
  Placement some;
  for (const auto& options : c.units) some.push_back(options.empty() ? 0 : dice.below(options.size()));
  if (std::none_of(c.units.begin(), c.units.end(), [](const auto& o) { return o.empty(); }))
    c.limit = taken_by(c, some);
  for (auto& limit : c.limit)
    limit = static_cast<std::int64_t>(sort.room * static_cast<double>(limit + 1) * dice.real(0.9, 1.2));
  return c;
}

template <class Look>
void for_each_placement(const Chain& c, Look look) {
  Placement x(c.units.size(), 0);
  for (const auto& options : c.units)
    if (options.empty()) return;
  for (;;) {
    look(x);
    std::size_t u = 0;
    while (u < x.size() && ++x[u] == c.units[u].size()) x[u++] = 0;
    if (u == x.size()) return;
  }
}

double brute_force(const Chain& c) {
  double best = never;
  for_each_placement(c, [&](const Placement& x) {
    if (double cost = cost_of(c, x); cost < best && fits(c, x)) best = cost;
  });
  return best;
}

TEST(Solve, EqualsEveryPlacementTried) {
  int capped = 0, impossible = 0, free = 0;
  for (std::uint64_t seed = 0; seed < 900; ++seed) {
    const Sort sort{
        2 + seed % 5,  1 + seed % 4,  1 + seed % 3, seed % 4 == 0 ? 10.0 : 0.8 + 0.1 * static_cast<double>(seed % 5),
        seed % 2 == 0, seed % 3 == 0, seed % 7 < 2};
    const Chain c = random_chain(seed, sort);
    const ChainResult r = solve(c, {100});
    const double best = brute_force(c);
    if (best == never) {
      ++impossible;
      EXPECT_FALSE(r.fits) << seed;
      EXPECT_TRUE(r.placement.empty() || r.bound == never) << seed << ": not proven";
      continue;
    }
    ASSERT_TRUE(r.fits) << seed;
    EXPECT_TRUE(fits(c, r.placement)) << seed;
    EXPECT_DOUBLE_EQ(cost_of(c, r.placement), r.cost) << seed;
    EXPECT_NEAR(r.cost, best, 1e-9 * best) << seed;
    EXPECT_TRUE(r.optimal) << seed;
    EXPECT_LE(r.bound, best * (1 + 1e-9)) << seed;
    ++(least_cost(c) < best * (1 - 1e-9) ? capped : free);
  }
  // The instances are of all three sorts, or this test shows little.
  EXPECT_GT(capped, 120);
  EXPECT_GT(free, 120);
  EXPECT_GT(impossible, 30);
}

// Units that are alike, where whole numbers of them matter most, with little effort and with enough.
TEST(Solve, EqualsEveryPlacementTriedOfUnitsThatAreAlike) {
  int capped = 0, unproven = 0;
  for (std::uint64_t seed = 0; seed < 1200; ++seed) {
    const Sort sort{6 + seed % 3,  2 + seed % 3,  1 + seed % 3,  0.8 + 0.1 * static_cast<double>(seed % 5),
                    seed % 2 == 0, seed % 9 == 0, seed % 7 == 0, 1 + seed % 4};
    const Chain c = random_chain(seed + 20000, sort);
    const double best = brute_force(c);
    for (double effort : {0.001, 0.01, 0.03, 100.0}) {
      const ChainResult r = solve(c, {effort});
      EXPECT_LE(r.bound, best * (1 + 1e-9)) << seed << ", effort " << effort;
      if (r.fits) {
        EXPECT_TRUE(fits(c, r.placement)) << seed << ", effort " << effort;
        EXPECT_GE(r.cost, best * (1 - 1e-9)) << seed << ", effort " << effort;
      }
      unproven += best < never && !r.optimal;
      if (effort < 100) continue;
      EXPECT_EQ(r.fits, best < never) << seed;
      EXPECT_EQ(r.optimal, best < never) << seed;
    }
    capped += best < never && least_cost(c) < best * (1 - 1e-9);
  }
  EXPECT_GT(capped, 300);
  EXPECT_GT(unproven, 100);
}

// What fits the flat arrays is what fits the chain, also where fixed parts are off the limits of rows that copies take
// of too.
TEST(Solve, FlatArraysHoldTheSameProblem) {
  int less = 0, among_others = 0, moved = 0, neither = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    const Chain c = random_chain(seed + 40000, {2 + seed % 4, 1 + seed % 4, 1 + seed % 4, 0.9, true, seed % 5 == 0,
                                                seed % 4 == 0, 0, seed % 6 != 0});
    const Flat flat(c);
    for (std::size_t r = 0; r < flat.rows; ++r) {
      const auto row = flat.row_of[r];
      const auto once = std::count_if(c.fixed.begin(), c.fixed.end(), [&](const auto& f) { return f[row] > 0; });
      const bool paid = flat.limit[r] < static_cast<double>(c.limit[row]);
      less += paid;
      among_others += paid && once > 1;
      moved += flat.moves_take[r];
      neither += once > 1 && !paid;
    }
    for_each_placement(c, [&](const Placement& x) {
      std::vector<double> taken;
      flat.take(flat.options(x), taken);
      std::uint64_t used = 0;
      for (auto o : flat.options(x)) used |= flat.devices[o];
      bool within = true;
      for (std::size_t r = 0; r < flat.rows; ++r) {
        for (std::size_t d = 0; d < c.devices; ++d) taken[r] += used >> d & 1 ? flat.taken_once(d)[r] : 0;
        within = within && taken[r] <= flat.limit[r];
      }
      ASSERT_EQ(within, fits(c, x)) << seed;
    });
  }
  EXPECT_GT(less, 200);
  EXPECT_GT(among_others, 100);
  EXPECT_GT(moved, 50);
  EXPECT_GT(neither, 100);
}

// Copies shared by the first and the last unit, with little effort and with enough.
TEST(Solve, EqualsEveryPlacementTriedWithTiedCopies) {
  int capped = 0, unproven = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    const Sort sort{5 + seed % 3,  2 + seed % 3,  1 + seed % 3,  0.8 + 0.1 * static_cast<double>(seed % 5),
                    seed % 4 != 0, seed % 7 == 0, seed % 5 == 0, seed % 4,
                    true};
    const Chain c = random_chain(seed + 50000, sort);
    const double best = brute_force(c);
    for (double effort : {0.001, 0.02, 100.0}) {
      const ChainResult r = solve(c, {effort});
      EXPECT_LE(r.bound, best * (1 + 1e-9)) << seed << ", effort " << effort;
      if (r.fits) {
        EXPECT_TRUE(fits(c, r.placement)) << seed << ", effort " << effort;
        EXPECT_GE(r.cost, best * (1 - 1e-9)) << seed << ", effort " << effort;
      }
      unproven += best < never && !r.optimal;
      if (effort < 100) continue;
      EXPECT_EQ(r.fits, best < never) << seed;
      EXPECT_EQ(r.optimal, best < never) << seed;
    }
    capped += best < never && least_cost(c) < best * (1 - 1e-9);
  }
  EXPECT_GT(capped, 150);
  EXPECT_GT(unproven, 20);
}

// A cut is broken by the shares it is made for, and by no placement that fits.
TEST(Solve, CutsHoldForWhateverFits) {
  int rounded = 0, charged = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Chain c = random_chain(seed + 30000, {6, 3, 2, 0.7, seed % 2 == 0, false, false, 1 + seed % 3, seed % 4 < 2});
    const Flat flat(c);
    const Scope scope{std::vector<char>(flat.options(), 0), flat.limit, {}};
    Dice dice{std::mt19937_64(seed)};
    std::vector<double> share(flat.options());
    for (double& v : share) v = dice.real(0, 1);
    for (std::size_t row = 0; row < flat.rows; ++row) {
      for (const Cut& cut : broken_cuts(flat, scope, row, share)) {
        ++(cut.origin.divisor > 0 ? rounded : charged);
        double taken = 0;
        for (std::size_t o = 0; o < flat.options(); ++o) taken += share[o] * cut.takes[o];
        EXPECT_GT(taken, cut.limit) << seed;
        for_each_placement(c, [&](const Placement& x) {
          if (!fits(c, x)) return;
          double by_placement = 0;
          for (auto o : flat.options(x)) by_placement += cut.takes[o];
          EXPECT_LE(by_placement, cut.limit + 1e-9) << seed;
        });
      }
    }
  }
  EXPECT_GT(rounded, 100);
  EXPECT_GT(charged, 100);
}

// Strong duality proves each answer of the master: no mixture is cheaper than what its prices say.
TEST(Solve, MasterIsOptimal) {
  int mixed = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Dice dice{std::mt19937_64(seed)};
    const std::size_t rows = 1 + dice.below(12), paths = 1 + dice.below(60);
    Master master(rows, 1e4);
    std::vector<double> cost;
    std::vector<std::vector<double>> over(paths, std::vector<double>(rows));
    for (auto& path : over) {
      for (double& v : path) v = dice.below(3) ? dice.real(-1, 0.5) : 0;
      cost.push_back(dice.real(1, 10));
      master.add(cost.back(), path);
      if (dice.below(2)) master.solve();
    }
    for (int i = 0; i < 20; ++i) master.solve();
    double least = never, sum = 0, total = master.overpaid();
    std::vector<double> used(rows, 0);
    int taken = 0;
    for (std::size_t p = 0; p < paths; ++p) {
      double priced = cost[p];
      for (std::size_t r = 0; r < rows; ++r) {
        priced += master.price(r) * over[p][r];
        used[r] += master.weight(p) * over[p][r];
      }
      least = std::min(least, priced);
      sum += master.weight(p);
      total += master.weight(p) * cost[p];
      taken += master.weight(p) > 1e-9;
    }
    EXPECT_NEAR(sum, 1, 1e-6) << seed;
    EXPECT_NEAR(master.value(), total, 1e-6 * total) << seed;
    EXPECT_NEAR(master.value(), least, 1e-6 * least + 1e-5) << seed;
    for (std::size_t r = 0; r < rows; ++r) {
      EXPECT_LE(used[r], master.overpaid() / 1e4 + 1e-6) << seed;
    }
    mixed += taken > 1;
  }
  EXPECT_GT(mixed, 50);
}

// With almost no effort the answer may be worse, but never overcommitted, and its gap must still hold.
TEST(Solve, GapHoldsWhenTheSearchIsCutShort) {
  int unproven = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Chain c = random_chain(seed + 5000, {seed % 2 ? 8u : 6u, 3, 2, 1.0, true, seed % 2 == 0, seed % 3 == 0});
    const ChainResult r = solve(c, {0.001});
    const double best = brute_force(c);
    if (best == never) {
      EXPECT_FALSE(r.fits) << seed;
      continue;
    }
    EXPECT_LE(r.bound, best * (1 + 1e-9)) << seed;
    if (r.fits) {
      EXPECT_TRUE(fits(c, r.placement)) << seed;
      EXPECT_GE(r.cost, best * (1 - 1e-9)) << seed;
    }
    EXPECT_TRUE(!r.optimal || r.cost <= best * (1 + 1e-9)) << seed;
    unproven += !r.optimal;
  }
  EXPECT_GT(unproven, 20);
}

// From the answer to a problem that was a little different: the same optimum with enough effort; with little, a valid
// bound and nothing worse than staying.
TEST(Solve, BeginsFromAnAnswerBefore) {
  int stayed = 0, kept = 0, fewer = 0, unproven = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Chain c = random_chain(seed + 9000, {7, 3, 2, 1.0, true, false, seed % 5 == 0, seed % 4, seed % 3 == 0});
    const ChainResult before = solve(c, {100});
    if (!before.fits) continue;
    kept += before.kept != nullptr;
    Dice dice{std::mt19937_64(seed)};
    for (auto& options : c.units)
      for (Option& o : options)
        if (o.place == seed % 3) o.cost *= dice.real(0.5, 2);
    if (seed % 2) c.limit[0] = static_cast<std::int64_t>(0.9 * static_cast<double>(c.limit[0]));
    const double best = brute_force(c);
    for (double effort : {0.001, 0.01, 100.0}) {
      const ChainResult r = solve(c, {effort, &before});
      EXPECT_LE(r.bound, best * (1 + 1e-9)) << seed << ", effort " << effort;
      if (r.fits) {
        EXPECT_TRUE(fits(c, r.placement)) << seed << ", effort " << effort;
      }
      if (fits(c, before.placement)) {
        ++stayed;
        EXPECT_TRUE(r.fits) << seed << ", effort " << effort;
        EXPECT_LE(r.cost, cost_of(c, before.placement) * (1 + 1e-12)) << seed << ", effort " << effort;
      }
      unproven += best < never && !r.optimal;
      if (effort < 100) continue;
      ASSERT_EQ(r.fits, best < never) << seed;
      if (r.fits) {
        EXPECT_NEAR(r.cost, best, 1e-9 * best) << seed;
      }
    }
    // What does not fit the problem at hand is left out.
    Chain other = random_chain(seed + 9500, {4 + seed % 5, 2 + seed % 2, 1 + seed % 3, 1.0, true});
    fewer += other.units.size() < c.units.size();
    const ChainResult r = solve(other, {100, &before});
    EXPECT_EQ(r.fits, brute_force(other) < never) << seed;
    if (r.fits) {
      EXPECT_NEAR(r.cost, brute_force(other), 1e-9 * r.cost) << seed;
    }
  }
  EXPECT_GT(stayed, 150);
  EXPECT_GT(kept, 50);
  EXPECT_GT(fewer, 30);
  EXPECT_GT(unproven, 20);
}

TEST(Solve, AUnitWithoutOptionsHasNoPlacement) {
  Chain c = random_chain(1, {3, 2, 1, 10});
  c.units[1].clear();
  const ChainResult r = solve(c);
  EXPECT_TRUE(r.placement.empty());
  EXPECT_FALSE(r.fits);
  EXPECT_EQ(least_cost(c), never);
}

TEST(Solve, LargeProblemsHaveSmallGaps) {
  int bound_by_limits = 0, open = 0;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    const bool many = seed % 2 == 0;
    const Chain c = random_chain(seed, {96, many ? 8u : 4u, many ? 6u : 3u, 1.0, true, false, false, many ? 4u : 0u});
    const ChainResult r = solve(c);
    if (!r.fits) {
      open += r.bound < never;  // neither found nor proven to be impossible
      continue;
    }
    EXPECT_TRUE(fits(c, r.placement)) << seed;
    EXPECT_LE(r.bound, r.cost) << seed;
    EXPECT_LE(r.cost - r.bound, 0.025 * r.cost) << seed;
    bound_by_limits += least_cost(c) < 0.95 * r.cost;
    const ChainResult again = solve(c);
    EXPECT_EQ(again.placement, r.placement) << seed << ": effort is counted, not timed";
    EXPECT_EQ(again.bound, r.bound) << seed;
  }
  EXPECT_GE(bound_by_limits, 4);
  EXPECT_LE(open, 1);
}

}  // namespace
}  // namespace switchyard::scheduler
