// Prefill and decode placed apart, against every pair of devices of every unit.
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/pairs.h"

namespace switchyard::scheduler {
namespace {

using test::opposites;
using test::take_all;
using test::tie;

TEST(Pair, EqualsTheBestOfAllPairs) {
  int split = 0, full = 0, none = 0, shared = 0, tied = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::Dice dice{std::mt19937_64(seed)};
    const bool laptop = seed % 2;
    auto p = test::random_machine(laptop ? "laptop" : "two-cards", dice);
    const auto count = static_cast<std::size_t>(dice.whole(2, laptop ? 3 : 4));
    std::vector<double> megabytes;
    for (std::size_t u = 0; u < count; ++u) megabytes.push_back(dice.real(50, 500));
    const std::int64_t prompt = dice.whole(1, 1500), output = dice.whole(1, 40);
    auto request = test::pair_request(megabytes, 2048, prompt, output);
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
    test::PairReference reference{p, request};
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
    full += test::PairReference{roomy, request}.best(false) < pairs * (1 - 1e-9);
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

TEST(Pair, TheStateIsHandedOverOnceAndWeightsAreHeldTwice) {
  auto p = opposites();
  auto request = test::pair_request({100, 100, 100}, 4096, 2048, 100);
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
  auto request = test::pair_request({100, 100, 100}, 4096, 2048, 100);
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
  auto request = test::pair_request({200, 50, 200}, 4096, 2048, 100);
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

TEST(Pair, WhatMakesNoSenseIsNamed) {
  auto p = test::place("two-cards");
  auto refused = [&](const PairRequest& request, const char* word) {
    auto plan = make_pair_plan(p.machine, p.profile, request, take_all);
    ASSERT_FALSE(plan) << word;
    EXPECT_EQ(plan.error().code, hal::Code::invalid_argument);
    EXPECT_NE(plan.error().message.find(word), std::string::npos) << plan.error().message;
  };
  refused(test::pair_request({10}, 100, 0, 5), "a prompt of 0 tokens and 5 after it: both must be at least 1");
  refused(test::pair_request({10}, 100, 5, 0), "a prompt of 5 tokens and 0 after it");
  refused(test::pair_request({10}, 100, 96, 5), "more than the context of 100");
  refused(test::pair_request({10}, 100, std::numeric_limits<std::int64_t>::max(), 5), "more than the context of 100");
  refused(test::pair_request({10}, 100, 5, std::numeric_limits<std::int64_t>::max()), "more than the context of 100");
  refused(test::pair_request({}, 100, 5, 5), "without units");

  auto alone = p;
  alone.machine.chips.resize(1);
  auto one = make_pair_plan(alone.machine, alone.profile, test::pair_request({10}, 100, 50, 5), take_all);
  ASSERT_TRUE(one) << hal::describe(one.error());
  EXPECT_TRUE(one->break_even.empty());
  EXPECT_FALSE(one->best.split());
  EXPECT_NE(explain(*one).find("no other device"), std::string::npos);

  ClaimFunction picky = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = take_all(info, s);
    if (info.id != "cpu:0") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  auto only = make_pair_plan(p.machine, p.profile, test::pair_request({10}, 100, 50, 5), picky);
  ASSERT_TRUE(only);
  EXPECT_FALSE(only->best.split());
  for (const BreakEven& e : only->break_even)
    EXPECT_NE(e.impossible.find("refuses layer 0 (unsupported)"), std::string::npos) << e.impossible;
}

TEST(Pair, AsTextAndAsJson) {
  auto p = opposites();
  auto plan = make_pair_plan(p.machine, p.profile, test::pair_request({100, 100}, 4096, 2048, 100), take_all);
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
