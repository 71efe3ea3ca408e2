#include "scheduler/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

using test::model;
using test::place;
using test::take_all;

hal::Bytes pool_bytes(const Plan& plan, const std::string& pool) {
  for (const PoolUse& u : plan.pools)
    if (u.pool == pool) return u.bytes;
  return 0;
}

TEST(Plan, SmallModelGoesWhereItIsFastestAndIsProven) {
  auto p = place("laptop");
  auto request = model(8, 100);
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  EXPECT_TRUE(plan->fits && plan->optimal);
  EXPECT_EQ(plan->gap, 0);
  for (const auto& l : plan->layers) {
    EXPECT_EQ(l.device, "vulkan:1") << l.layer;
    EXPECT_EQ(l.how, "roofline");
    ASSERT_TRUE(l.runner_up) << l.layer;
    EXPECT_EQ(l.runner_up->device, "opencl:0") << "the other door of the same chip";
    EXPECT_NE(l.runner_up->why.find("slower by itself"), std::string::npos) << l.runner_up->why;
  }
  EXPECT_DOUBLE_EQ(plan->lower_bound_seconds, plan->step_seconds);
  EXPECT_EQ(plan->moves.size(), 2u);
  std::string text = explain(*plan);
  for (const char* word : {"layer 1-3, 5-7 (mamba)", "layer 0, 4 (attention)", "vulkan:1", "opencl:0", "roofline",
                           "proven best", "memory host: ", "of 7.00 GB"})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

TEST(Plan, OneDeviceIsPreferredToAGainWithinTheNoise) {
  for (double megabytes : {0.5, 50.0}) {  // of an embedding that costs nothing on another device
    auto p = place("two-cards");
    auto request = model(8, 100);
    request.units[0] = test::unit("embed", -1, megabytes);
    const probes::Stat nothing{1e-9, 1e-9, 1e-9, 0, 5, 1, 1};
    for (auto& d : p.profile.devices) {
      d.to_device.points = {{4096, nothing}};
      d.read.per_second = d.id == "vulkan:0" ? 100e9 : 1e9;
      if (d.id == "cpu:0")
        d.units.push_back({probes::unit_key(request.units[0].segment), "embed", {1, 1, 0, 1}, 0, 0, nothing});
    }
    p.profile.links.push_back({"cpu:0", "vulkan:0", "staged", {{{4096, nothing}}}});
    auto plan = make_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    const bool small = megabytes < 1;
    EXPECT_EQ(plan->layers[0].device, small ? "vulkan:0" : "cpu:0") << explain(*plan);
    EXPECT_EQ(plan->layers[1].device, "vulkan:0");
    EXPECT_EQ(plan->optimal, !small);
    EXPECT_EQ(plan->gap > 0, small);
    EXPECT_LE(plan->gap, simple_enough);
  }
}

TEST(Plan, ACopyOfSeveralUnitsCountsOncePerDevice) {
  auto p = place("laptop");
  auto request = model(4, 100);
  const auto alone = make_plan(p.machine, p.profile, request, take_all);
  const std::string name = request.units.back().name;
  request.units.back() = test::unit("embed", -1, 50);  // the same constants
  request.units.back().name = name;
  const auto tied = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(alone && tied);
  const hal::Bytes copy = tied->layers.front().bytes;
  EXPECT_GT(copy, 40'000'000u);
  EXPECT_EQ(tied->total_bytes + copy, alone->total_bytes);
  EXPECT_EQ(tied->layers.back().bytes, 0u) << "counted for its first user";
  request.pins = {{{0}, "cpu:0"}};  // apart, each device has its own
  const auto apart = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(apart) << hal::describe(apart.error());
  ASSERT_NE(apart->layers.back().device, "cpu:0");
  EXPECT_EQ(apart->layers.back().bytes, copy);
  EXPECT_GT(apart->total_bytes, alone->total_bytes + 10'000'000) << "and the scratch of another device";
  EXPECT_LT(apart->total_bytes, alone->total_bytes + 20'000'000);
}

TEST(Plan, LargeModelSpillsAndNeverOvercommits) {
  auto p = place("laptop");
  auto request = model(24, 400);  // about 12 GB of weights; the card has 7
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  EXPECT_TRUE(plan->fits);
  EXPECT_LT(plan->gap, 0.05);
  hal::Bytes card = pool_bytes(*plan, "vulkan:1");
  EXPECT_LE(card, 7'000'000'000u);
  EXPECT_GT(card, 6'000'000'000u);
  EXPECT_GT(pool_bytes(*plan, "host"), 4'000'000'000u);
  EXPECT_LE(plan->lower_bound_seconds, plan->step_seconds);
  bool short_of_memory = std::any_of(plan->layers.begin(), plan->layers.end(), [](const PlannedLayer& l) {
    return l.runner_up && l.runner_up->why.find("more than vulkan:1 has") != std::string::npos;
  });
  EXPECT_TRUE(short_of_memory) << explain(*plan);
}

TEST(Plan, StateOfAllSessionsCounts) {
  auto p = place("two-cards");
  auto request = model(8, 100);
  for (auto& u : request.units) u.state = u.layer >= 0 ? 100'000'000 : 0;
  auto one = make_plan(p.machine, p.profile, request, take_all);
  request.sessions = 20;
  auto many = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(one && many);
  EXPECT_EQ(many->total_bytes - one->total_bytes, 8ull * 19 * 100'000'000);
}

TEST(Plan, WhatDoesNotFitSaysWhatItWouldTake) {
  auto p = place("laptop");
  auto request = model(40, 1000);  // 50 GB
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  EXPECT_FALSE(plan->fits);
  EXPECT_FALSE(plan->optimal);
  EXPECT_GT(plan->total_bytes, 31'000'000'000u);
  EXPECT_NE(plan->shortage.find("and has"), std::string::npos);
  EXPECT_NE(explain(*plan).find("DOES NOT FIT"), std::string::npos);
  EXPECT_TRUE(check(*plan, p.machine, p.profile, request, take_all));
}

TEST(Plan, RefusalsNameOpsShapesAndReasons) {
  auto p = place("laptop");
  auto request = model(4, 100);
  ClaimFunction some = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = take_all(info, s);
    if (info.id != "cpu:0") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  auto plan = make_plan(p.machine, p.profile, request, some);
  ASSERT_TRUE(plan);
  for (const auto& l : plan->layers) {
    EXPECT_EQ(l.device, "cpu:0");
    EXPECT_FALSE(l.runner_up);
    ASSERT_EQ(l.refused.size(), 4u);
    EXPECT_EQ(l.refused[0].code, "unsupported");
    EXPECT_NE(l.refused[0].detail.find("gemm@1 (f32 [1..256, 1024], q8_0 ["), std::string::npos) << l.refused[0].detail;
    EXPECT_NE(l.refused[0].detail.find("no kernel for it"), std::string::npos);
  }
  request.device = "vulkan:1";
  EXPECT_TRUE(make_plan(p.machine, p.profile, request, some)) << "falls back, and says so";
  request.strict = true;
  auto strict = make_plan(p.machine, p.profile, request, some);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code, hal::Code::unsupported);
  EXPECT_NE(strict.error().message.find("no kernel for it"), std::string::npos);
  auto none = make_plan(p.machine, p.profile, request, [](const hal::Info&, const hal::Segment&) {
    return hal::Claim{{}, {{0, "never"}}};
  });
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no device takes embed"), std::string::npos) << none.error().message;
}

TEST(Plan, TheKernelLibraryIsAskedByDefault) {
  auto p = place("laptop");
  auto request = model(2, 10);
  auto plan = make_plan(p.machine, p.profile, request);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  for (const auto& l : plan->layers)
    for (const auto& r : l.refused) EXPECT_FALSE(r.detail.empty());
}

TEST(Plan, UnmeasuredDevicesAreRefusedByName) {
  auto p = place("laptop");
  auto request = model(2, 10);
  p.profile.devices.erase(p.profile.devices.begin() + 1, p.profile.devices.end());
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->layers[0].device, "cpu:0");
  EXPECT_EQ(plan->layers[0].refused.front().code, "not_measured");
  p.profile.devices.clear();
  auto none = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, hal::Code::unavailable);
}

TEST(Plan, LargestBufferIsRespected) {
  auto p = place("laptop");
  auto request = model(2, 100);
  for (auto& chip : p.machine.chips)
    for (auto& door : chip.doors)
      if (door.info.id == "vulkan:1") door.info.limits.max_buffer = 1'000'000;
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->layers[1].device, "opencl:0");
  EXPECT_EQ(plan->layers[1].refused.front().code, "too_large");
}

TEST(Plan, PinsByNumberNameAndAll) {
  auto p = place("laptop");
  auto request = model(8, 100);
  for (const char* text : {"0-3=CPU0", "5=vulkan:0", "head=cpu:0"}) {
    auto pin = pin_from(text, request.units, p.machine);
    ASSERT_TRUE(pin) << hal::describe(pin.error());
    request.pins.push_back(*pin);
  }
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  for (std::size_t u : {1u, 2u, 3u, 4u, 9u}) EXPECT_EQ(plan->layers[u].device, "cpu:0") << u;
  EXPECT_EQ(plan->layers[6].device, "vulkan:0");
  EXPECT_EQ(plan->layers[6].refused.back().code, "pinned");
  for (const char* text : {"0-9=cpu", "layer=cpu", "tail=cpu", "3=", "=cpu", "3", "2-1=cpu", "x-y=cpu"}) {
    auto pin = pin_from(text, request.units, p.machine);
    ASSERT_FALSE(pin) << text;
    EXPECT_EQ(pin.error().code, hal::Code::invalid_argument) << text;
    EXPECT_NE(pin.error().message.find("layers 0-7, embed, head, attention, mamba, all"), std::string::npos)
        << pin.error().message;
  }
  EXPECT_EQ(pin_from("3=gpu7", request.units, p.machine).error().code, hal::Code::not_found);
  EXPECT_EQ(pin_from("layer 3 (mamba)=cpu", request.units, p.machine)->units, std::vector<std::size_t>{4});
  EXPECT_EQ(pin_from("attention=cpu", request.units, p.machine)->units, (std::vector<std::size_t>{1, 5}));
  EXPECT_EQ(pin_from("all=cpu", request.units, p.machine)->units.size(), 10u);
  request.pins.push_back({{1}, "vulkan:0"});
  auto both = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_FALSE(both);
  EXPECT_NE(both.error().message.find("pinned to both"), std::string::npos);
}

TEST(Plan, ModesAnswerDifferentQuestions) {
  auto p = place("laptop");
  auto request = model(12, 200);
  request.sessions = 16;
  std::map<Mode, Plan> plans;
  for (Mode mode : {Mode::latency, Mode::ttft, Mode::throughput, Mode::memory}) {
    request.mode = mode;
    auto plan = make_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << to_string(mode) << hal::describe(plan.error());
    EXPECT_TRUE(plan->fits);
    plans[mode] = *plan;
  }
  EXPECT_EQ(plans[Mode::latency].step_rows, 1);
  EXPECT_EQ(plans[Mode::throughput].step_rows, 16);
  EXPECT_LE(plans[Mode::ttft].prefill_seconds, plans[Mode::latency].prefill_seconds * (1 + 1e-9));
  EXPECT_LE(plans[Mode::latency].step_seconds, plans[Mode::memory].step_seconds);
  auto shares = [](const Plan& plan) {
    double sum = 0;
    for (const PoolUse& u : plan.pools)
      if (u.within.empty()) sum += static_cast<double>(u.bytes) / static_cast<double>(u.capacity);
    return sum;
  };
  EXPECT_LT(shares(plans[Mode::memory]), shares(plans[Mode::latency]));
  request.mode = Mode::energy;
  auto energy = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_FALSE(energy);
  EXPECT_EQ(energy.error().code, hal::Code::unsupported);
  EXPECT_EQ(*mode_from("ttft"), Mode::ttft);
  EXPECT_FALSE(mode_from("fast"));
}

TEST(Plan, JsonThereAndBackAndWhatIsRefused) {
  auto p = place("two-cards");
  auto request = model(8, 100);
  auto plan = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan);
  std::string text = to_json(*plan);
  auto back = load_plan(text, p.machine, p.profile, request, take_all);
  ASSERT_TRUE(back) << hal::describe(back.error());
  EXPECT_EQ(to_json(*back), text);
  back->model = "m \xff";  // as a folder may be called
  EXPECT_EQ(plan_from_json(to_json(*back))->model, "m \ufffd");
  for (const char* field :
       {"\"schema\": \"switchyard.plan/2\"", "\"total_bytes\"", "\"pool\"", "\"capacity\"", "\"step_seconds\"",
        "\"lower_bound_seconds\"", "\"gap\"", "\"optimal\"", "\"layer\"", "\"runner_up\"", "\"refused\"", "\"how\""})
    EXPECT_NE(text.find(field), std::string::npos) << field;
  auto refused = [&](const std::string& from, const std::string& to, const std::string& word) {
    std::string changed = text;
    auto at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    auto loaded = load_plan(changed, p.machine, p.profile, request, take_all);
    ASSERT_FALSE(loaded) << word;
    EXPECT_NE(loaded.error().message.find(word), std::string::npos) << loaded.error().message;
  };
  refused("switchyard.plan/2", "switchyard.plan/9", "switchyard.plan/9");
  refused("abcdef0123456789", "abcdef0123456780", "was made for model sample");
  refused("\"hash\": \"abcdef0123456789\"", "\"hash\": \"zz\"", "plan: ");
  refused(plan->machine, "0000000000000000", "was made for machine 0000000000000000");
  refused("\"device\": \"" + plan->layers[0].device + "\"", "\"device\": \"cpu:7\"", "which this machine has not");
  refused("\"total_bytes\": ", "\"total_bytes\": 1", "counts 1");
  refused("\"layers\"", "\"layer_list\"", "layers");
  EXPECT_FALSE(plan_from_json("nonsense"));
}

TEST(Plan, TheJudgeFindsWhatIsWrong) {
  auto p = place("two-cards");
  auto request = model(30, 400);
  request.pins = {*pin_from("2=cpu:0", request.units, p.machine)};
  auto made = make_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(made);
  auto finds = [&](Plan plan, const char* word, hal::Code code = hal::Code::invalid_argument) {
    auto judged = check(plan, p.machine, p.profile, request, take_all);
    ASSERT_FALSE(judged) << word;
    EXPECT_EQ(judged.error().code, code);
    EXPECT_NE(judged.error().message.find(word), std::string::npos) << judged.error().message;
  };
  EXPECT_TRUE(check(*made, p.machine, p.profile, request, take_all));
  Plan plan = *made;
  for (std::size_t u = 0; u < plan.layers.size(); ++u)
    if (u != 3) plan.layers[u].device = "vulkan:1";
  finds(plan, "does not fit: vulkan:1 would need", hal::Code::out_of_memory);
  plan = *made;
  plan.layers[3].device = "vulkan:0";
  finds(plan, "is pinned to cpu:0");
  plan = *made;
  plan.layers.pop_back();
  finds(plan, "places 31 units, the model has 32");
  plan = *made;
  std::swap(plan.layers[1], plan.layers[2]);
  finds(plan, "the model's is layer 0");
  plan = *made;
  plan.fits = false;
  finds(plan, "but it does");
  plan = *made;
  plan.sessions = 0;
  finds(plan, "keeps memory for 0 sessions");
  plan = *made;
  plan.layers[5].seconds = -1;
  finds(plan, "is predicted to take");
}

// Machines and models at random: every plan must pass the judge, and no door's pool may be counted twice.
TEST(Plan, RandomMachines) {
  std::mt19937_64 random(7);
  auto real = [&](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); };
  int spilled = 0, impossible = 0;
  for (int round = 0; round < 400; ++round) {
    auto p = place(round % 2 ? "laptop" : "two-cards");
    for (auto& d : p.profile.devices) {
      d.read.per_second *= real(0.2, 5);
      d.compute[kernels::Products::f32].per_second *= real(0.2, 5);
    }
    for (auto& pool : p.machine.pools)
      pool.budget = static_cast<hal::Bytes>(static_cast<double>(pool.budget) * real(0.01, 0.9));
    // Drawn one by one: the order in which arguments are evaluated differs between compilers.
    const int layers = static_cast<int>(real(2, 16));
    const double megabytes = real(50, 600);
    auto request = model(layers, megabytes);
    request.sessions = static_cast<std::int64_t>(real(1, 9));
    request.mode =
        std::array{Mode::latency, Mode::ttft, Mode::throughput, Mode::memory}[static_cast<std::size_t>(round % 4)];
    auto plan = make_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << round << ": " << hal::describe(plan.error());
    impossible += !plan->fits;
    if (!plan->fits) continue;
    std::set<std::string> used;
    for (const auto& l : plan->layers) used.insert(l.device);
    spilled += used.size() > 1;
    for (const auto& u : plan->pools) EXPECT_LE(u.bytes, u.capacity) << round << " " << u.pool;
    EXPECT_LE(plan->objective_bound, plan->objective * (1 + 1e-9));
    double sum = 0;
    for (const auto& l : plan->layers) sum += l.seconds;
    for (const auto& m : plan->moves) sum += m.seconds;
    EXPECT_NEAR(sum, request.mode == Mode::ttft ? plan->prefill_seconds : plan->step_seconds, 1e-9 * sum) << round;
  }
  EXPECT_GT(spilled, 15);
  EXPECT_GT(impossible, 5);
}

}  // namespace
}  // namespace switchyard::scheduler
