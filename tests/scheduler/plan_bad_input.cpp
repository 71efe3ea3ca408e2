// What a machine or a profile cannot be right about: an error that names it, or a plan that keeps away from it.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

TEST(PlanBadInput, ASpeedOfZeroOrNextToNothingIsRefusedByName) {
  for (const double rate : {0.0, 1e-300, 1e-3}) {
    auto p = test::place("two-cards");
    PlanRequest request = test::model(4, 100);
    for (auto& d : p.profile.devices)
      if (d.id != "cpu:0") d.read.per_second = rate;
    const auto plan = make_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_TRUE(plan) << rate << ": " << hal::describe(plan.error());
    for (const PlannedLayer& l : plan->layers) {
      EXPECT_EQ(l.device, "cpu:0");
      ASSERT_EQ(l.refused.size(), 2u);
      EXPECT_EQ(l.refused[0].code, "not_measured");
      EXPECT_NE(
          l.refused[0].detail.find(rate > 0 ? "by its profile, device vulkan:0 would take " : "has not been measured"),
          std::string::npos)
          << l.refused[0].detail;
    }
    p.profile.devices[0].read.per_second = rate;
    const auto none = make_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, hal::Code::unavailable) << none.error().message;
  }
}

TEST(PlanBadInput, AMoveThatTakesForEverIsNotTaken) {
  auto p = test::place("two-cards");
  for (auto& d : p.profile.devices)
    for (auto* curve : {&d.to_device, &d.to_host})
      for (auto& point : curve->points)
        if (d.id != "vulkan:0") point.seconds.median = 1e18;
  for (auto& link : p.profile.links)
    for (auto& point : link.copies.points) point.seconds.median = 1e18;
  for (const Mode mode : {Mode::latency, Mode::ttft, Mode::throughput}) {
    PlanRequest request = test::model(4, 100);
    request.mode = mode;
    request.sessions = 4;
    request.limits.prefill_seconds = 100;
    const auto plan = make_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_TRUE(plan) << to_string(mode) << ": " << hal::describe(plan.error());
    for (const PlannedLayer& l : plan->layers) EXPECT_EQ(l.device, "vulkan:0") << to_string(mode);
  }
}

TEST(PlanBadInput, PinsThatCannotBe) {
  auto p = test::place("two-cards");
  const ClaimFunction picky = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = test::take_all(info, s);
    if (info.id == "vulkan:1") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  PlanRequest request = test::model(4, 100);
  request.pins = {{{1, 2}, "vulkan:1"}};
  EXPECT_TRUE(make_plan(p.machine, p.profile, request, picky)) << "goes elsewhere, and says so";
  request.strict = true;
  const auto strict = make_plan(p.machine, p.profile, request, picky);
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code, hal::Code::unsupported);
  EXPECT_NE(strict.error().message.find("strict: layer 0 (attention) must run on vulkan:1, which declines it"),
            std::string::npos)
      << strict.error().message;
  request.strict = false;
  request.pins = {{{99}, "cpu:0"}};
  EXPECT_EQ(make_plan(p.machine, p.profile, request, picky).error().message, "pin of unit 99 of 6");
  request.pins = {{{1}, "cpu:9"}};
  EXPECT_EQ(make_plan(p.machine, p.profile, request, picky).error().code, hal::Code::not_found);
  request.pins.clear();
  request.device = "cpu:9";
  EXPECT_EQ(make_plan(p.machine, p.profile, request, picky).error().message, "device cpu:9 is not one of this machine");
}

TEST(PlanBadInput, NumbersThatMakeNoSense) {
  auto p = test::place("two-cards");
  for (std::int64_t PlanRequest::*field :
       {&PlanRequest::sessions, &PlanRequest::context, &PlanRequest::prompt, &PlanRequest::chunk, &PlanRequest::rows}) {
    PlanRequest request = test::model(2, 10);
    request.*field = 0;
    const auto plan = make_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, hal::Code::invalid_argument);
    EXPECT_NE(plan.error().message.find("all must be at least 1"), std::string::npos) << plan.error().message;
  }
  PlanRequest empty;
  EXPECT_EQ(make_plan(p.machine, p.profile, empty, test::take_all).error().message, "a plan for a model without units");
  p.machine.chips.clear();
  const auto none = make_plan(p.machine, p.profile, test::model(2, 10), test::take_all);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no device"), std::string::npos);
}

TEST(PlanBadInput, LimitsThatContradictOrMakeNoSense) {
  auto p = test::place("two-cards");
  struct Try {
    const char* words;
    hal::Code code;
    std::function<void(PlanRequest&)> set;
  };
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  for (const Try& t : std::vector<Try>{
           {"limit of step: 0; expected more than 0", hal::Code::invalid_argument,
            [](PlanRequest& r) { r.limits.step_seconds = 0; }},
           {"limit of prompt: nan", hal::Code::invalid_argument,
            [&](PlanRequest& r) { r.limits.prefill_seconds = nan; }},
           {"limit of energy: -1", hal::Code::invalid_argument, [](PlanRequest& r) { r.limits.joules = -1; }},
           {"limit of step: 1e+09", hal::Code::invalid_argument, [](PlanRequest& r) { r.limits.step_seconds = 1e9; }},
           {"limit of memory: 0", hal::Code::invalid_argument, [](PlanRequest& r) { r.limits.bytes = 0; }},
           {"there are the pools and devices host, vulkan:0, vulkan:1, cpu:0", hal::Code::not_found,
            [](PlanRequest& r) {
              r.limits.pools = {{"vram", 1'000'000}};
            }},
           {"neither a device nor a pin", hal::Code::invalid_argument, [](PlanRequest& r) { r.limits.fallbacks = 2; }},
           {"limit of elsewhere: -1", hal::Code::invalid_argument,
            [](PlanRequest& r) {
              r.device = "cpu:0";
              r.limits.fallbacks = -1;
            }},
           {"strict lets no unit run elsewhere", hal::Code::invalid_argument,
            [](PlanRequest& r) {
              r.device = "cpu:0";
              r.strict = true;
              r.limits.fallbacks = 1;
            }},
           {"nothing is known of cpu:0, vulkan:0, vulkan:1; declare it with --watts cpu:0=WATTS,",
            hal::Code::unsupported, [](PlanRequest& r) { r.mode = Mode::energy; }},
           {"a limit of energy needs the power", hal::Code::unsupported, [](PlanRequest& r) { r.limits.joules = 1; }},
           {"groups are for the mode throughput", hal::Code::invalid_argument,
            [](PlanRequest& r) {
              r.mode = Mode::energy;
              r.sessions = r.groups = 2;
            }},
       }) {
    PlanRequest request = test::model(2, 10);
    t.set(request);
    const auto plan = make_plan(p.machine, p.profile, request, test::take_all);
    ASSERT_FALSE(plan) << t.words;
    EXPECT_EQ(plan.error().code, t.code) << plan.error().message;
    EXPECT_NE(plan.error().message.find(t.words), std::string::npos) << plan.error().message;
  }
  // Only the devices that may be used need a figure.
  for (auto& d : p.profile.devices)
    if (d.id == "vulkan:0") d.power = probes::Power{200, true, "a counter"};
  PlanRequest request = test::model(2, 10);
  request.mode = Mode::energy;
  request.device = "vulkan:0";
  const auto plan = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  EXPECT_NEAR(*plan->step_joules, 200 * plan->step_seconds, 1e-9);
  EXPECT_EQ(plan->objective, *plan->step_joules);
  EXPECT_NE(explain(*plan).find("vulkan:0 200 W (measured: a counter)"), std::string::npos) << explain(*plan);
  EXPECT_NE(explain(*plan).find(" mJ measured"), std::string::npos) << explain(*plan);
}

}  // namespace
}  // namespace switchyard::scheduler
