// Which experts a fast device should hold: against exhaustive search, on synthetic traces, and while use drifts.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "scheduler/experts/moves.h"
#include "tests/support/traces.h"

namespace switchyard::scheduler {
namespace {

using test::zipf;

// The formula of choose.h, written out.
double plain_cost(const RoutingTrace& trace, const ExpertChoice& choice, const ExpertTimes& times) {
  const ExpertShape& s = trace.shape;
  double sum = 0;
  for (std::int64_t t = 0; t < trace.tokens(); ++t)
    for (std::int64_t l = 0; l < s.layers; ++l) {
      int hits = 0, misses = 0;
      for (std::int64_t j = 0; j < s.top_k; ++j)
        ++(choice.fast[static_cast<std::size_t>(
               l * s.experts + trace.chosen[static_cast<std::size_t>((t * s.layers + l) * s.top_k + j)])]
               ? hits
               : misses);
      sum += std::max(hits * times.fast, misses * times.slow);
      if (misses > 0) sum += times.sync;
    }
  return sum / static_cast<double>(trace.tokens());
}

TEST(ExpertChoice, CostIsTheFormula) {
  for (std::uint64_t seed : {1, 2, 3}) {
    const RoutingTrace trace = zipf({3, 8, 2}, 50, 0.5, 1.0, seed);
    const ExpertBudget budget{9000, trace.expert_bytes};
    const ExpertTimes times{3e-6, 11e-6, 2e-6};
    for (ExpertPolicy p : expert_policies) {
      const ExpertChoice choice = choose(p, usage_of(whole(trace)), budget, seed);
      const double want = plain_cost(trace, choice, times);
      EXPECT_NEAR(cost_of(whole(trace), choice, times), want, 1e-12 * want) << "seed " << seed << " " << to_string(p);
    }
  }
}

TEST(ExpertChoice, ExactIsTheBestOfAllCounts) {
  constexpr std::int64_t experts = 5;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    RoutingTrace trace = zipf({3, experts, 2}, 40, 0.2, 1.4, seed);
    if (seed % 2) trace.expert_bytes = {1000, 1500, 700};
    const UsageHistogram usage = usage_of(whole(trace));
    const ExpertTimes times{1e-6 * std::uniform_real_distribution<>(1, 5)(random),
                            1e-6 * std::uniform_real_distribution<>(2, 30)(random),
                            1e-6 * std::uniform_real_distribution<>(0, 20)(random)};
    for (hal::Bytes bytes : {0, 900, 3100, 5000, 9950, 20000}) {
      double best = INFINITY;
      for (int n = 0; n < 6 * 6 * 6; ++n) {
        ExpertChoice c(trace.shape);
        const int counts[] = {n % 6, n / 6 % 6, n / 36};
        for (std::int64_t l = 0; l < 3; ++l)
          for (int i = 0; i < counts[l]; ++i)
            c.fast[trace.shape.pair(l, hottest_first(usage, l)[static_cast<std::size_t>(i)])] = 1;
        if (bytes_of(c, {bytes, trace.expert_bytes}) <= bytes) best = std::min(best, plain_cost(trace, c, times));
      }
      auto exact = choose_exact(whole(trace), {bytes, trace.expert_bytes}, times);
      ASSERT_TRUE(exact);
      EXPECT_LE(bytes_of(*exact, {bytes, trace.expert_bytes}), bytes);
      EXPECT_NEAR(plain_cost(trace, *exact, times), best, 1e-12 * best) << "seed " << seed << ", " << bytes << " bytes";
    }
  }
}

TEST(ExpertChoice, EveryPolicyKeepsTheBudgetAndFillsIt) {
  RoutingTrace trace = zipf({6, 16, 3}, 100, 0.3, 1.2, 7);
  trace.expert_bytes = {1000, 1200, 800, 1000, 1500, 900};
  const UsageHistogram usage = usage_of(whole(trace));
  for (hal::Bytes bytes = 0; bytes <= 110000; bytes += 5500)
    for (ExpertPolicy p : expert_policies) {
      const ExpertBudget budget{bytes, trace.expert_bytes};
      const ExpertChoice choice = choose(p, usage, budget);
      const hal::Bytes used = bytes_of(choice, budget);
      EXPECT_LE(used, bytes) << to_string(p);
      const hal::Bytes step = p == ExpertPolicy::layers ? 16 * 1500 : 1500;  // what one more could take
      EXPECT_TRUE(used + step > bytes || choice.count() == 6 * 16) << to_string(p) << " " << used << " of " << bytes;
      for (std::int64_t l = 0; l < 6; ++l) {
        const std::vector<bool> here = choice.of_layer(l);
        EXPECT_TRUE(p != ExpertPolicy::layers || std::count(here.begin(), here.end(), here[0]) == 16);
        EXPECT_TRUE(p != ExpertPolicy::first || std::is_sorted(here.rbegin(), here.rend()));
      }
    }
}

// Sizes of a real model: 40 layers, 6 of 64 experts. Times as a card beside a CPU has them: 1 to 4.
TEST(ExpertChoice, GlobalFrequencyIsWithinTwoPercentOfExactAndWholeLayersAreNot) {
  const ExpertTimes times{10e-6, 40e-6, 8e-6};
  double least_frequency = INFINITY, worst_frequency = 0, worst_equal = 0, least_layers = INFINITY, worst_layers = 0;
  for (std::uint64_t seed : {1, 2, 3}) {
    const RoutingTrace trace = zipf({40, 64, 6}, 800, 0.3, 1.3, seed);
    const TraceView learnt = half(trace, false), judged = half(trace, true);
    const UsageHistogram usage = usage_of(learnt);
    for (hal::Bytes share : {25, 50, 75}) {
      const ExpertBudget budget{share * 40 * 64 * 10, trace.expert_bytes};
      auto exact = choose_exact(learnt, budget, times);
      ASSERT_TRUE(exact);
      auto ratio = [&](ExpertPolicy p) {
        return cost_of(judged, choose(p, usage, budget), times) / cost_of(judged, *exact, times);
      };
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + std::to_string(share) + " % of the experts");
      const double frequency = ratio(ExpertPolicy::frequency), layers = ratio(ExpertPolicy::layers);
      worst_frequency = std::max(worst_frequency, frequency);
      least_frequency = std::min(least_frequency, frequency);
      worst_equal = std::max(worst_equal, ratio(ExpertPolicy::equal));
      least_layers = std::min(least_layers, layers);
      worst_layers = std::max(worst_layers, layers);
      EXPECT_LT(frequency, 1.02);
      EXPECT_GT(frequency, 0.97);  // judged on tokens that neither was chosen by
      EXPECT_GT(layers, 1.15);
      EXPECT_GT(ratio(ExpertPolicy::random), 1.08);
      EXPECT_LT(frequency, ratio(ExpertPolicy::equal) + 0.005);
    }
  }
  std::printf("to exact: frequency %.4f .. %.4f, equal up to %.4f, whole layers %.3f .. %.3f\n", least_frequency,
              worst_frequency, worst_equal, least_layers, worst_layers);
}

TEST(ExpertUse, SharesAndOverlap) {
  const RoutingTrace even = zipf({1, 32, 4}, 4000, 0, 0, 3), steep = zipf({1, 32, 4}, 4000, 1.5, 1.5, 3);
  EXPECT_NEAR(share_of_hottest(usage_of(whole(even)), 0, 8), 0.25, 0.03);
  EXPECT_GT(share_of_hottest(usage_of(whole(steep)), 0, 8), 0.7);
  EXPECT_EQ(share_of_hottest(usage_of(whole(steep)), 0, 32), 1.0);
  const RoutingTrace turned = zipf({1, 32, 4}, 4000, 1.5, 1.5, 3, 2000);
  auto halves = [](const RoutingTrace& t) { return overlap(usage_of(half(t, false)), usage_of(half(t, true)), 0); };
  EXPECT_GT(halves(steep), 0.95);
  EXPECT_LT(halves(turned), 0.7);
  EXPECT_GT(overlap(usage_of({&turned, 0, 4000, 2}), usage_of({&turned, 1, 4000, 2}), 0), 0.95);
  EXPECT_DOUBLE_EQ(overlap(usage_of(whole(even)), usage_of(whole(even)), 0), 1.0);
}

TEST(ExpertMoves, OnlyWhatPaysTwiceIsExchanged) {
  const ExpertTimes times{1e-6, 8e-6, 0};
  const RoutingTrace trace = zipf({2, 8, 2}, 200, 1, 1, 5);
  const ExpertBudget budget{4000, trace.expert_bytes};
  const ExpertChoice bad = choose(ExpertPolicy::first, usage_of(whole(trace)), budget);
  // The dearest exchange there is, found by trying all; a link on which it pays exactly not, and one on which it does.
  const ExchangeRule any{1, 1e15};
  ExpertChoice choice = bad;
  const double before = plain_cost(trace, choice, times);
  const auto swaps = exchange(choice, whole(trace), budget, times, any);
  ASSERT_FALSE(swaps.empty());
  double saved = 0;
  ExpertChoice again = bad;
  for (const ExpertSwap& s : swaps) {
    const double was = plain_cost(trace, again, times);
    EXPECT_FALSE(again.at(s.layer_in, s.expert_in));
    EXPECT_TRUE(again.at(s.layer_out, s.expert_out));
    again.fast[again.shape.pair(s.layer_in, s.expert_in)] = 1;
    again.fast[again.shape.pair(s.layer_out, s.expert_out)] = 0;
    EXPECT_NEAR(s.saving, was - plain_cost(trace, again, times), 1e-15);
    EXPECT_GT(s.saving, 0);
    saved += s.saving;
  }
  EXPECT_EQ(again.fast, choice.fast);
  EXPECT_NEAR(before - saved, plain_cost(trace, choice, times), 1e-12);
  EXPECT_LE(bytes_of(choice, budget), budget.bytes);

  const double first = swaps[0].saving, horizon = 1000, exactly = 2 * 1000 / (first * horizon);
  for (auto [link, pays] : {std::pair{exactly * 1.001, true}, {exactly * 0.999, false}}) {
    ExpertChoice once = bad;
    const auto made = exchange(once, whole(trace), budget, times, {horizon, link});
    const bool is_made =
        !made.empty() && made[0].layer_in == swaps[0].layer_in && made[0].expert_in == swaps[0].expert_in;
    EXPECT_EQ(is_made, pays) << "link of " << link << " bytes/s";
  }
}

TEST(ExpertMoves, DriftIsFollowedAndNoiseIsNot) {
  const ExpertTimes times{10e-6, 40e-6, 8e-6};
  const ExpertShape shape{8, 32, 4};
  // An expert takes 100 us to move; exchanges are expected to serve 1000 tokens.
  const ExchangeRule rule{1000, 1000 / 100e-6};
  for (std::uint64_t seed : {11, 12, 13}) {
    const RoutingTrace still = zipf(shape, 4000, 0.4, 1.2, seed), turned = zipf(shape, 4000, 0.4, 1.2, seed, 1000);
    const ExpertBudget budget{8 * 32 * 1000 / 2, still.expert_bytes};
    auto played = [&](const RoutingTrace& t) {
      const TraceView learnt{&t, 0, 1000}, rest{&t, 1000, 4000};
      return replay(rest, choose(ExpertPolicy::frequency, usage_of(learnt), budget), budget, times, rule, 250);
    };
    const Replayed a = played(still), b = played(turned);
    EXPECT_LT(a.swaps, 60) << "seed " << seed;
    EXPECT_LT(a.adaptive, a.fixed * 1.01) << "seed " << seed;
    EXPECT_GT(b.swaps, 30) << "seed " << seed;
    EXPECT_EQ(b.moved, static_cast<hal::Bytes>(b.swaps) * 1000);
    EXPECT_LT(b.adaptive, b.fixed * 0.85) << "seed " << seed << ": " << b.fixed << " to " << b.adaptive;
    std::printf("seed %d: still %.4f with %d moves, turned %.3f with %d moves\n", static_cast<int>(seed),
                a.adaptive / a.fixed, static_cast<int>(a.swaps), b.adaptive / b.fixed, static_cast<int>(b.swaps));
    for (std::int64_t window : {-1, 0}) {
      const Replayed none = replay(whole(still), ExpertChoice(shape), budget, times, rule, window);
      EXPECT_TRUE(none.fixed == 0 && none.adaptive == 0 && none.swaps == 0 && none.moved == 0) << window;
    }
  }
}

}  // namespace
}  // namespace switchyard::scheduler
