// The solver against every placement there is, on random small machines.
#include "scheduler/plan/chain.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace switchyard::scheduler {
namespace {

struct Dice {
  std::mt19937_64 random;
  double real(double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); }
  std::int64_t whole(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random);
  }
};

// room: capacities as a multiple of what some random placement takes; 10: never binding.
Chain random_chain(std::uint64_t seed, std::size_t units, std::size_t devices, std::size_t pools, double room,
                   bool fixed) {
  Dice dice{std::mt19937_64(seed)};
  Chain c;
  c.resize(units, devices, pools);
  std::vector<std::size_t> pool_of(devices);
  for (auto& p : pool_of) p = static_cast<std::size_t>(dice.whole(0, static_cast<std::int64_t>(pools) - 1));
  for (std::size_t u = 0; u < units; ++u) {
    std::int64_t size = dice.whole(1, 100);
    for (std::size_t d = 0; d < devices; ++d) {
      c.cost_at(u, d) = dice.whole(0, 9) == 0 ? never : dice.real(0.1, 1.0) * static_cast<double>(size);
      c.bytes_at(u, d, pool_of[d]) = size + dice.whole(0, 5);
      for (std::size_t e = 0; e < devices; ++e) c.move_at(u, d, e) = d == e ? 0 : dice.real(0, 20);
    }
  }
  for (std::size_t d = 0; d < devices; ++d) {
    c.enter[d] = dice.real(0, 5);
    c.leave[d] = dice.real(0, 5);
    if (fixed) c.fixed[d * pools + pool_of[d]] = dice.whole(0, 30);
  }
  Placement some(units, 0);
  for (auto& d : some) d = static_cast<std::size_t>(dice.whole(0, static_cast<std::int64_t>(devices) - 1));
  c.capacity = bytes_of(c, some);
  for (auto& cap : c.capacity)
    cap = static_cast<std::int64_t>(room * static_cast<double>(cap + 1) * dice.real(0.9, 1.2));
  return c;
}

double brute_force(const Chain& c) {
  double best = never;
  Placement x(c.units, 0);
  for (;;) {
    if (double cost = cost_of(c, x); cost < best && fits(c, x)) best = cost;
    std::size_t u = 0;
    while (u < c.units && ++x[u] == c.devices) x[u++] = 0;
    if (u == c.units) return best;
  }
}

TEST(Chain, EqualsEveryPlacementTried) {
  int capped = 0, impossible = 0, free = 0;
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    std::size_t units = 2 + seed % 6, devices = 1 + seed % 4, pools = 1 + seed % 3;
    double room = seed % 4 == 0 ? 10.0 : 0.8 + 0.1 * static_cast<double>(seed % 5);
    Chain c = random_chain(seed, units, devices, pools, room, seed % 2 == 0);
    ChainResult r = solve(c);
    double best = brute_force(c);
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
    double free_cost = never;
    shortest_path(c, {}, &free_cost);
    ++(free_cost < best * (1 - 1e-9) ? capped : free);
  }
  // The instances are of all three sorts, or this test shows little.
  EXPECT_GT(capped, 80);
  EXPECT_GT(free, 80);
  EXPECT_GT(impossible, 20);
}

// With labels cut to almost nothing the answer may be worse, but never overcommitted, and its gap must still hold.
TEST(Chain, GapHoldsWhenTheSearchIsCutShort) {
  int unproven = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Chain c = random_chain(seed + 5000, 8, 3, 2, 1.0, true);
    ChainResult r = solve(c, {1, 0});
    double best = brute_force(c);
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

TEST(Chain, RefusedEverywhereGivesNoPlacement) {
  Chain c = random_chain(1, 3, 2, 1, 10, false);
  c.cost_at(1, 0) = c.cost_at(1, 1) = never;
  ChainResult r = solve(c);
  EXPECT_TRUE(r.placement.empty());
  EXPECT_FALSE(r.fits);
}

TEST(Chain, LargeInstancesStayQuickAndSound) {
  for (std::uint64_t seed : {1u, 2u, 3u}) {
    Chain c = random_chain(seed, 96, 4, 3, 1.05, true);
    auto begin = std::chrono::steady_clock::now();
    ChainResult r = solve(c);
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    ASSERT_TRUE(r.fits) << seed;
    EXPECT_TRUE(fits(c, r.placement));
    EXPECT_LE(r.bound, r.cost);
    RecordProperty("gap" + std::to_string(seed), std::to_string((r.cost - r.bound) / r.cost));
    RecordProperty("seconds" + std::to_string(seed), std::to_string(seconds));
    std::printf("96 units, 4 devices, 3 pools: cost %.3f gap %.4f %s in %.3f s\n", r.cost, (r.cost - r.bound) / r.cost,
                r.optimal ? "optimal" : "", seconds);
  }
}

}  // namespace
}  // namespace switchyard::scheduler
