// From which prompt length a pair of devices pays, against scans of every length.
#include "tests/support/pairs.h"

namespace switchyard::scheduler {
namespace {

using test::Dice;
using test::opposites;
using test::take_all;

TEST(PairBreaks, WholeModelsThatDoNotFitTwiceAreNotPossible) {
  auto p = opposites();
  auto request = test::pair_request({200, 50, 200}, 4096, 2048, 100);  // tied: 250 MB on a device, 500 on two
  test::tie(request);
  auto impossible = [&](const std::string& prefill, const std::string& decode, hal::Bytes host, hal::Bytes card) {
    for (auto& pool : p.machine.pools) pool.budget = pool.name == "host" ? host : card;
    const auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    if (!plan) return hal::describe(plan.error());
    for (const BreakEven& e : plan->break_even)
      if (e.prefill == prefill && e.decode == decode) return e.impossible;
    return std::string("no such pair");
  };
  EXPECT_NE(impossible("vulkan:0", "cpu:0", 450'000'000, 450'000'000).find("host would need 0.6"), std::string::npos);
  EXPECT_EQ(impossible("vulkan:0", "cpu:0", 700'000'000, 450'000'000), "");
  EXPECT_EQ(impossible("vulkan:1", "cpu:0", 450'000'000, 450'000'000), "") << "a pool each";
  EXPECT_NE(impossible("vulkan:1", "cpu:0", 450'000'000, 200'000'000).find("vulkan:1 would need"), std::string::npos);
  EXPECT_NE(impossible("vulkan:1", "cpu:0", 200'000'000, 450'000'000).find("host would need"), std::string::npos);
  request.one_copy = {{"cpu:0", "vulkan:0"}};
  EXPECT_EQ(impossible("vulkan:0", "cpu:0", 450'000'000, 450'000'000), "");
}

// The last stretch above zero, looking at every length.
Pays scan(const std::function<double(std::int64_t)>& gain, std::int64_t longest) {
  Pays pays;
  std::int64_t n = longest;
  while (n > 0 && !(gain(n) > 0)) --n;
  pays.to = n;
  while (n > 0 && gain(n) > 0) pays.from = n--;
  return pays;
}

TEST(PairBreaks, WhereItPaysEqualsAScan) {
  const std::vector<std::int64_t> grid{1, 5, 30, 64, 65, 128, 129, 200, 256};
  int never_pays = 0, within = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Dice dice{std::mt19937_64(seed)};
    // One change of sign between neighbours at most: signs by cell, with a border drawn in it.
    std::vector<double> sign(257);
    double s = dice.whole(0, 1) ? 1 : -1;
    for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
      const bool changes = dice.whole(0, 3) == 0;
      const std::int64_t border = dice.whole(grid[i] + 1, grid[i + 1]);
      for (std::int64_t n = grid[i]; n <= grid[i + 1]; ++n)
        if (n > grid[i] || i == 0) sign[static_cast<std::size_t>(n)] = changes && n >= border ? -s : s;
      if (changes) s = -s;
    }
    auto gain = [&](std::int64_t n) { return sign[static_cast<std::size_t>(n)]; };
    const Pays got = where_it_pays(gain, grid), want = scan(gain, 256);
    EXPECT_EQ(got.from, want.from) << "seed " << seed;
    EXPECT_EQ(got.to, want.to) << "seed " << seed;
    never_pays += want.from == 0;
    within += want.from > 1 && want.to < 256;
  }
  EXPECT_GT(never_pays, 5);
  EXPECT_GT(within, 50);
  EXPECT_TRUE(where_it_pays([](std::int64_t n) { return 5.0 - static_cast<double>(n); }, grid).monotone);
  EXPECT_FALSE(where_it_pays([](std::int64_t n) { return n == 64 ? 1.0 : 0.0; }, grid).monotone);
}

// Where gains are looked at: the ends of every prefill step, and a sixteenth of one apart within it.
std::vector<std::int64_t> looked_at(std::int64_t chunk, std::int64_t longest) {
  std::set<std::int64_t> grid;
  for (std::int64_t first = 1; first <= longest; first += chunk) {
    const std::int64_t last = std::min(longest, first + chunk - 1);
    for (std::int64_t n = first; n < last; n += chunk / 16) grid.insert(n);
    grid.insert(last);
  }
  return {grid.begin(), grid.end()};
}

// What pair.h asks of gains for an exact answer: between neighbours on the grid one change of sign at most. Nor may one
// be zero but for rounding, or the order of a sum decides its sign.
bool keeps_the_contract(const std::vector<double>& gains, const std::vector<std::int64_t>& grid) {
  constexpr double rounding = 1e-15;
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    int changes = 0;
    for (std::int64_t n = grid[i]; n < grid[i + 1]; ++n)
      changes += (gains[static_cast<std::size_t>(n)] > 0) != (gains[static_cast<std::size_t>(n + 1)] > 0);
    if (changes > 1) return false;
  }
  return std::none_of(gains.begin() + 1, gains.end(), [](double g) { return std::abs(g) <= rounding; });
}

TEST(PairBreaks, BreakEvensEqualAScanOfThePrompt) {
  int somewhere = 0, never_pays = 0, compared = 0, outside = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Dice dice{std::mt19937_64(seed)};
    auto p = test::random_machine("two-cards", dice);
    auto request = test::pair_request({200, 100}, 700, 64, dice.whole(1, 60));
    const std::int64_t longest = 700 - request.output;
    const auto grid = looked_at(request.plan.chunk, longest);
    auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    ASSERT_EQ(plan->break_even.size(), 6u);
    EXPECT_EQ(plan->longest, longest);
    for (const BreakEven& e : plan->break_even) {
      ASSERT_TRUE(e.impossible.empty()) << e.impossible;
      std::size_t a = 0, b = 0;
      test::PairReference reference{p, request};
      while (reference.id(a) != e.prefill) ++a;
      while (reference.id(b) != e.decode) ++b;
      std::vector<double> over_b{0}, over_a{0}, over_both{0};
      for (std::int64_t n = 1; n <= longest; ++n) {
        request.plan.prompt = n;
        const std::vector<std::size_t> at_a(2, a), at_b(2, b);
        const double apart = reference.seconds(at_a, at_b);
        over_a.push_back(reference.seconds(at_a, at_a) - apart);
        over_b.push_back(reference.seconds(at_b, at_b) - apart);
        over_both.push_back(std::min(over_a.back(), over_b.back()));
      }
      auto expect_equal = [&](const Pays& got, const std::vector<double>& gains) {
        const Pays want = scan([&](std::int64_t n) { return gains[static_cast<std::size_t>(n)]; }, longest);
        if (!keeps_the_contract(gains, grid)) {
          ++outside;
          return;
        }
        ++compared;
        EXPECT_EQ(got.from, want.from) << "seed " << seed << " " << e.prefill << " " << e.decode;
        EXPECT_EQ(got.to, want.to) << "seed " << seed << " " << e.prefill << " " << e.decode;
        somewhere += want.from > 1 || (want.from == 1 && want.to < longest);
        never_pays += want.from == 0;
      };
      expect_equal(e.over_decode, over_b);
      expect_equal(e.over_prefill, over_a);
      expect_equal(e.over_both, over_both);
    }
  }
  EXPECT_GT(somewhere, 10);
  EXPECT_GT(never_pays, 20);
  EXPECT_LT(outside, compared / 20) << "of " << compared;
}

}  // namespace
}  // namespace switchyard::scheduler
