// Prefill and decode placed apart, against every pair of devices of every unit, and against scans of the prompt.
#include "scheduler/plan/pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "scheduler/plan/problem.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

using test::take_all;

constexpr hal::Bytes scratch = 10'000'000;  // of take_all

struct Dice {
  std::mt19937_64 random;
  double real(double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); }
  std::int64_t whole(std::int64_t lo, std::int64_t hi) {
    return std::uniform_int_distribution<std::int64_t>(lo, hi)(random);
  }
};

void set_copies(probes::CopyCurve& curve, double latency, double per_second) {
  curve.points.clear();
  for (hal::Bytes bytes : {hal::Bytes{4096}, hal::Bytes{64} << 20}) {
    const double t = latency + static_cast<double>(bytes) / per_second;
    curve.points.push_back({bytes, {t, t, t, 0, 5, 1, 1}});
  }
}

// Devices that differ in what they are good at.
test::Place random_machine(const std::string& name, Dice& dice) {
  auto p = test::place(name);
  for (auto& d : p.profile.devices) {
    d.read.per_second *= std::exp(dice.real(-2, 1));
    for (auto products : {kernels::Products::f32, kernels::Products::int8})
      d.compute[products].per_second *= std::exp(dice.real(-2, 3));
    set_copies(d.to_device, dice.real(5e-6, 5e-4), dice.real(2e9, 20e9));
    set_copies(d.to_host, dice.real(5e-6, 5e-4), dice.real(2e9, 20e9));
  }
  return p;
}

PairRequest request_of(std::vector<double> megabytes, std::int64_t context, std::int64_t prompt, std::int64_t output) {
  PairRequest r;
  r.plan.model = "sample";
  for (double mb : megabytes) {
    const auto u = static_cast<std::int64_t>(r.plan.units.size());
    r.plan.units.push_back(test::unit("layer " + std::to_string(u), u, mb, static_cast<hal::Bytes>(1e5 * mb)));
    if (u % 2) r.plan.units.back().zeros = r.plan.units.back().state;  // does not grow
  }
  r.plan.context = context;
  r.plan.prompt = prompt;
  r.plan.chunk = 64;
  r.output = output;
  return r;
}

// The last unit has the first's constants: a tied embedding and head.
void tie(PairRequest& r) { r.plan.units.back().segment = r.plan.units.front().segment; }

// The definition, straight from the cost model and the machine.
struct Reference {
  test::Place& p;
  const PairRequest& r;
  CostModel cost{p.profile};
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
    const Unit& unit = r.plan.units[u];
    return unit.zeros ? unit.state : unit.state * static_cast<hal::Bytes>(n) / static_cast<hal::Bytes>(r.plan.context);
  }
  double handoff(std::size_t u, std::size_t a, std::size_t b, std::int64_t n) {
    return a == b ? 0 : cost.move(id(a), id(b), static_cast<double>(state(u, n))).seconds;
  }
  hal::Bytes held(std::size_t u) const {
    const Unit& unit = r.plan.units[u];
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
    for (std::size_t d : used) take(d, scratch);
    for (const auto& q : p.machine.pools)
      if (pool[q.name] > q.budget) return false;
    for (const auto* door : doors)
      if (door->budget && own[door->info.id] > door->budget) return false;
    return true;
  }
  // Of all pairs of all units; single: with one device for both phases.
  double best(bool single) {
    const std::size_t k = doors.size();
    double least = never;
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

TEST(Pair, EqualsTheBestOfAllPairs) {
  int split = 0, full = 0, none = 0, shared = 0, tied = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice{std::mt19937_64(seed)};
    const bool laptop = seed % 2;
    auto p = random_machine(laptop ? "laptop" : "two-cards", dice);
    const auto count = static_cast<std::size_t>(dice.whole(2, laptop ? 3 : 4));
    std::vector<double> megabytes;
    for (std::size_t u = 0; u < count; ++u) megabytes.push_back(dice.real(50, 500));
    auto request = request_of(megabytes, 2048, dice.whole(1, 1500), dice.whole(1, 40));
    if (seed % 3) {
      for (auto& pool : p.machine.pools) pool.budget = static_cast<hal::Bytes>(1e6 * dice.real(300, 1800));
      if (laptop && seed % 5 == 0) request.one_copy = {{"vulkan:0", "cpu:0"}};
    }
    if (laptop && seed > 90) {  // room for little more than one copy on all
      request.one_copy = {{"vulkan:0", "cpu:0"}, {"npu:0", "cpu:0"}, {"npu:0", "vulkan:0"}};
      const double all = 1e6 * std::accumulate(megabytes.begin(), megabytes.end(), 0.0);
      for (auto& pool : p.machine.pools)
        pool.budget = pool.name == "host" ? static_cast<hal::Bytes>(all * dice.real(0.8, 1.8)) : 1;
    }
    if (seed > 60) tie(request);
    Reference reference{p, request};
    const double pairs = reference.best(false), single = reference.best(true);
    auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    EXPECT_EQ(plan->best.fits, std::isfinite(pairs));
    EXPECT_EQ(plan->single.fits, std::isfinite(single));
    if (!plan->best.fits) {
      ++none;
      EXPECT_FALSE(plan->best.shortage.empty());
      continue;
    }
    EXPECT_NEAR(plan->best.seconds, pairs, 1e-9 * pairs);
    EXPECT_NEAR(plan->single.seconds, single, 1e-9 * single);
    EXPECT_TRUE(plan->best.optimal && plan->single.optimal);
    EXPECT_LE(plan->best.bound, pairs * (1 + 1e-9));
    EXPECT_FALSE(plan->single.split());
    EXPECT_GE(plan->gain(), 1);
    std::vector<std::size_t> a, b;
    hal::Bytes copied = 0;
    for (std::size_t u = 0; u < count; ++u) {
      const PairedUnit& unit = plan->best.units[u];
      for (auto* x : {&a, &b})
        for (std::size_t d = 0; d < reference.doors.size(); ++d)
          if (reference.id(d) == (x == &a ? unit.prefill : unit.decode)) x->push_back(d);
      if (unit.prefill != unit.decode) copied += reference.state(u, request.plan.prompt);
    }
    EXPECT_NEAR(reference.seconds(a, b), plan->best.seconds, 1e-9 * pairs);
    EXPECT_TRUE(reference.fits(a, b));
    EXPECT_EQ(plan->best.handoff_bytes, copied);
    split += plan->best.split();
    shared += plan->best.split() && !request.one_copy.empty();
    tied += plan->best.split() && seed > 60;
    auto roomy = p;
    for (auto& pool : roomy.machine.pools) pool.budget = 64'000'000'000;
    full += Reference{roomy, request}.best(false) < pairs * (1 - 1e-9);
  }
  EXPECT_GT(split, 10);
  EXPECT_GT(tied, 5);
  EXPECT_GT(full, 10) << "memory forced a choice";
  EXPECT_GT(none, 0);
  EXPECT_GT(shared, 0);
}

TEST(Pair, AgreesWithAPlanOfTheSameDevices) {
  auto p = test::place("laptop");
  PairRequest request;
  request.plan = test::model(6, 100);
  request.output = 100;
  auto pair = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(pair) << hal::describe(pair.error());
  const PairedUnit& first = pair->single.units.front();
  for (const PairedUnit& u : pair->single.units) ASSERT_EQ(u.decode, first.decode);
  request.plan.device = first.decode;
  auto plan = make_plan(p.machine, p.profile, request.plan, take_all);
  ASSERT_TRUE(plan);
  EXPECT_NEAR(pair->single.prefill_seconds, plan->prefill_seconds, 1e-12);
  EXPECT_NEAR(pair->single.step_seconds, plan->step_seconds, 1e-12);
  EXPECT_EQ(pair->single.handoff_bytes, 0u);
  for (std::size_t r = 0; r < plan->pools.size(); ++r) EXPECT_EQ(pair->single.pools[r].bytes, plan->pools[r].bytes);
  auto pinned = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(pinned);
  EXPECT_FALSE(pinned->best.split());
}

// One device is for prompts, the other for tokens.
test::Place opposites() {
  auto p = test::place("laptop");
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

TEST(Pair, TheStateIsHandedOverOnceAndWeightsAreHeldTwice) {
  auto p = opposites();
  auto request = request_of({100, 100, 100}, 4096, 2048, 100);
  auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  CostModel cost(p.profile);
  double seconds = 0;
  hal::Bytes bytes = 0;
  for (const PairedUnit& u : plan->best.units) {
    EXPECT_EQ(u.prefill, "vulkan:0");
    EXPECT_EQ(u.decode, "cpu:0");
    const hal::Bytes state = u.unit == "layer 1" ? 10'000'000 : 5'000'000;  // all of it, or half at half the context
    EXPECT_EQ(u.handoff_bytes, state);
    bytes += state;
    seconds += cost.move("vulkan:0", "cpu:0", static_cast<double>(state)).seconds;
  }
  EXPECT_EQ(plan->best.handoff_bytes, bytes);
  EXPECT_NEAR(plan->best.handoff_seconds, seconds, 1e-12);
  EXPECT_NEAR(plan->best.seconds, plan->best.prefill_seconds + 100 * plan->best.step_seconds + seconds, 1e-12);
  EXPECT_EQ(plan->best.pools[0].pool, "host");
  EXPECT_EQ(plan->best.pools[0].bytes, 2 * (plan->single.pools[0].bytes)) << "weights, state and scratch of both";
  EXPECT_GT(plan->gain(), 1.5);
}

TEST(Pair, OneCopyOfTheWeightsIsForTheCallerToSay) {
  auto p = opposites();
  auto request = request_of({100, 100, 100}, 4096, 2048, 100);
  for (auto& pool : p.machine.pools)
    if (pool.name == "host") pool.budget = 450'000'000;
  auto twice = make_pair_plan(p.machine, p.profile, request, take_all);
  request.one_copy = {{"cpu:0", "vulkan:0"}};
  auto once = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(twice && once);
  EXPECT_LT(once->best.seconds, 0.8 * twice->best.seconds);
  EXPECT_LE(once->best.pools[0].bytes, 450'000'000u);
  for (const PairedUnit& u : once->best.units) EXPECT_NE(u.prefill, u.decode);
  EXPECT_FALSE(twice->best.units[0].prefill != twice->best.units[0].decode &&
               twice->best.units[1].prefill != twice->best.units[1].decode &&
               twice->best.units[2].prefill != twice->best.units[2].decode);
  EXPECT_NE(twice->break_even.front().impossible.find("host would need"), std::string::npos);
  EXPECT_TRUE(once->break_even.front().impossible.empty()) << once->break_even.front().impossible;
  for (const char* other : {"vulkan:1", "npu:7"}) {
    request.one_copy = {{"cpu:0", other}};
    auto wrong = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, hal::Code::invalid_argument);
    EXPECT_NE(wrong.error().message.find(other), std::string::npos) << wrong.error().message;
  }
}

hal::Bytes in_pools(const PairPlacement& p) {
  hal::Bytes bytes = 0;
  for (const PoolUse& pool : p.pools)
    if (pool.within.empty()) bytes += pool.bytes;
  return bytes;
}

hal::Bytes in_units(const PairPlacement& p) {
  hal::Bytes bytes = 0;
  for (const PairedUnit& u : p.units) bytes += u.bytes;
  return bytes;
}

TEST(Pair, AConstantOfSeveralUnitsIsHeldOncePerDevice) {
  auto p = opposites();
  auto request = request_of({200, 50, 200}, 4096, 2048, 100);
  request.plan.units[0].state = request.plan.units[2].state = 0;
  const auto apart = make_pair_plan(p.machine, p.profile, request, take_all);
  tie(request);
  const auto tied = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(apart && tied);
  const hal::Bytes copy = tied->single.units[0].bytes;
  EXPECT_GT(copy, 190'000'000u);
  for (const auto* plan : {&*apart, &*tied})
    for (const PairedUnit& u : plan->best.units) ASSERT_NE(u.prefill, u.decode);
  EXPECT_EQ(in_pools(tied->single) + copy, in_pools(apart->single));
  EXPECT_EQ(in_pools(tied->best) + 2 * copy, in_pools(apart->best)) << "both of one pool";
  for (const auto* made : {&tied->single, &tied->best}) EXPECT_EQ(made->units[2].bytes, 0u) << "counted for the first";
  EXPECT_EQ(tied->best.units[0].bytes, 2 * copy);
  request.one_copy = {{"cpu:0", "vulkan:0"}};
  const auto read = make_pair_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->best.units[0].bytes, copy);
  for (const PairPlacement* made : {&apart->best, &tied->best, &read->best})
    EXPECT_EQ(in_pools(*made) - in_units(*made), in_pools(tied->best) - in_units(tied->best)) << "scratch of both";
}

TEST(Pair, WholeModelsThatDoNotFitTwiceAreNotPossible) {
  auto p = opposites();
  auto request = request_of({200, 50, 200}, 4096, 2048, 100);  // tied: 250 MB on a device, 500 on two
  tie(request);
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

TEST(Pair, WhereItPaysEqualsAScan) {
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

TEST(Pair, BreakEvensEqualAScanOfThePrompt) {
  int somewhere = 0, never_pays = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Dice dice{std::mt19937_64(seed)};
    auto p = random_machine("two-cards", dice);
    auto request = request_of({200, 100}, 700, 64, dice.whole(1, 60));
    const std::int64_t longest = 700 - request.output;
    auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    ASSERT_EQ(plan->break_even.size(), 6u);
    EXPECT_EQ(plan->longest, longest);
    for (const BreakEven& e : plan->break_even) {
      ASSERT_TRUE(e.impossible.empty()) << e.impossible;
      std::size_t a = 0, b = 0;
      Reference reference{p, request};
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
        // Gains are looked at at 16 points of a step, so a range may run over a dip that is narrower; and where both
        // ways take the same time to the last bit or so, either answer is right.
        constexpr double tie = 1e-15;
        const auto gain = [&](std::int64_t n) { return gains[static_cast<std::size_t>(n)]; };
        const auto all_pay = [&](std::int64_t first, std::int64_t end) {
          std::int64_t dip = 0;
          for (std::int64_t n = first; n < end; ++n) {
            dip = gain(n) <= tie ? dip + 1 : 0;
            if (dip > std::max<std::int64_t>(1, request.plan.chunk / 16)) return false;
          }
          return true;
        };
        const bool from = got.from == want.from ||
                          (got.from > 0 && want.from > 0 &&
                           (got.from < want.from ? all_pay(got.from, want.from) : gain(got.from - 1) <= tie));
        const bool to =
            got.to == want.to || (got.from > 0 && want.from > 0 &&
                                  (got.to > want.to ? all_pay(want.to, got.to + 1) : gain(got.to + 1) <= tie));
        EXPECT_TRUE(from && to) << "seed " << seed << " " << e.prefill << " " << e.decode << ": " << got.from << " to "
                                << got.to << ", a scan " << want.from << " to " << want.to;
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
}

TEST(Pair, WhatMakesNoSenseIsNamed) {
  auto p = test::place("two-cards");
  auto refused = [&](const PairRequest& request, const char* word) {
    auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_FALSE(plan) << word;
    EXPECT_EQ(plan.error().code, hal::Code::invalid_argument);
    EXPECT_NE(plan.error().message.find(word), std::string::npos) << plan.error().message;
  };
  refused(request_of({10}, 100, 0, 5), "a prompt of 0 tokens and 5 after it: both must be at least 1");
  refused(request_of({10}, 100, 5, 0), "a prompt of 5 tokens and 0 after it");
  refused(request_of({10}, 100, 96, 5), "more than the context of 100");
  refused(request_of({10}, 100, std::numeric_limits<std::int64_t>::max(), 5), "more than the context of 100");
  refused(request_of({10}, 100, 5, std::numeric_limits<std::int64_t>::max()), "more than the context of 100");
  refused(request_of({}, 100, 5, 5), "without units");

  auto alone = p;
  alone.machine.chips.resize(1);
  auto one = make_pair_plan(alone.machine, alone.profile, request_of({10}, 100, 50, 5), take_all);
  ASSERT_TRUE(one) << hal::describe(one.error());
  EXPECT_TRUE(one->break_even.empty());
  EXPECT_FALSE(one->best.split());
  EXPECT_NE(explain(*one).find("no other device"), std::string::npos);

  ClaimFunction picky = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = take_all(info, s);
    if (info.id != "cpu:0") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  auto only = make_pair_plan(p.machine, p.profile, request_of({10}, 100, 50, 5), picky);
  ASSERT_TRUE(only);
  EXPECT_FALSE(only->best.split());
  for (const BreakEven& e : only->break_even)
    EXPECT_NE(e.impossible.find("refuses layer 0 (unsupported)"), std::string::npos) << e.impossible;
}

TEST(Pair, AsTextAndAsJson) {
  auto p = opposites();
  auto plan = make_pair_plan(p.machine, p.profile, request_of({100, 100}, 4096, 2048, 100), take_all);
  ASSERT_TRUE(plan);
  const std::string text = explain(*plan);
  for (const char* word : {"vulkan:0", "cpu:0", "hand-off", "the split gains", "proven best", "memory host: "})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
  const auto j = nlohmann::json::parse(to_json(*plan));
  EXPECT_EQ(j["schema"], "switchyard.pair/1");
  plan->model = "m \xff";  // as a folder may be called
  EXPECT_EQ(nlohmann::json::parse(to_json(*plan))["model"], "m \ufffd");
  EXPECT_TRUE(j["split"]);
  EXPECT_DOUBLE_EQ(j["gain"], plan->gain());
  EXPECT_EQ(j["best"]["units"][0]["prefill"]["device"], "vulkan:0");
  EXPECT_EQ(j["best"]["handoff"]["bytes"], plan->best.handoff_bytes);
  EXPECT_EQ(j["break_even"]["pairs"].size(), plan->break_even.size());
  double sum = j["best"]["handoff"]["seconds"];
  sum += j["best"]["prefill_seconds"].get<double>() + 100 * j["best"]["step_seconds"].get<double>();
  EXPECT_NEAR(sum, j["best"]["seconds"], 1e-9);
}

}  // namespace
}  // namespace switchyard::scheduler
