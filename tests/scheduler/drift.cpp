// Drift on synthetic series with fixed seeds, and what a plan makes of it.
#include "scheduler/drift/drift.h"

#include <algorithm>
#include <cmath>

#include "scheduler/cost/cost.h"
#include "scheduler/drift/replan.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

// Steps predicted to take 10 ms, with log-normal noise.
class Steps {
 public:
  explicit Steps(std::uint64_t seed, double noise = 0.1) : random_(seed), noise_(0, noise) {}
  double next(double factor = 1) { return 0.01 * factor * std::exp(noise_(random_)); }
  bool add_to(DriftDetector& d, double factor = 1) { return d.add(0.01, next(factor)); }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> noise_;
};

int alarms(std::uint64_t seed, double noise, const std::function<double(int)>& factor) {
  DriftDetector d;
  Steps steps(seed, noise);
  for (int i = 0; i < 10'000; ++i) steps.add_to(d, factor(i));
  return static_cast<int>(d.alarms());
}

TEST(Drift, SteadyNoiseRaisesNoAlarm) {
  for (double noise : {0.0, 0.02, 0.1})
    for (std::uint64_t seed = 0; seed < 200; ++seed)
      EXPECT_EQ(alarms(seed, noise, [](int) { return 1.0; }), 0) << "noise " << noise << " seed " << seed;
  for (std::uint64_t seed = 0; seed < 50; ++seed)  // nor does a prediction that is always wrong
    EXPECT_EQ(alarms(seed, 0.1, [](int) { return 7.0; }), 0) << seed;
}

TEST(Drift, SingleOutliersRaiseNoAlarm) {
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    EXPECT_EQ(alarms(seed, 0.1, [](int i) { return i % 100 == 7 ? 10.0 : 1.0; }), 0) << seed;
}

TEST(Drift, AStepHoweverStrangeCountsLikeAnyOther) {
  DriftDetector d;
  for (int i = 0; i < 100; ++i) d.add(1, 1);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(d.add(1, 1000)) << i;
  EXPECT_TRUE(d.add(1, 1000)) << "six running are no accident";
}

// Noise of neighbours that is alike looks like drift: most of it is known from the first samples.
TEST(Drift, SlowNoiseSeldomAlarms) {
  constexpr double noise = 0.05, alike = 0.7;
  int runs = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    DriftDetector d;
    Steps steps(seed, noise * std::sqrt(1 - alike * alike));
    double last = 0;
    for (int i = 0; i < 10'000; ++i) {
      last = alike * last + std::log(steps.next() / 0.01);
      d.add(1, std::exp(last));
    }
    runs += d.alarms() > 0;
  }
  EXPECT_LE(runs, 2);
}

TEST(Drift, ASlowDownIsSeenWithinTenStepsAndMeasured) {
  struct Case {
    double factor;
    int within;  // steps, for 99 of 100 seeds
  };
  for (auto [factor, within] : {Case{1.2, 100}, {1.5, 8}, {3.0, 8}, {1 / 1.5, 9}}) {
    std::vector<int> delays;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      DriftDetector d;
      Steps steps(seed);
      for (int i = 0; i < 500; ++i) ASSERT_FALSE(steps.add_to(d, 1.3)) << seed;  // as it is usually
      EXPECT_EQ(d.state(), Drift::steady);
      EXPECT_EQ(d.factor(), 1);
      EXPECT_NEAR(d.usual(), 1.3, 0.1) << seed;
      int delay = 1;
      while (delay < 1000 && !steps.add_to(d, 1.3 * factor)) ++delay;
      delays.push_back(delay);
      for (int i = 0; i < 50; ++i) steps.add_to(d, 1.3 * factor);
      EXPECT_EQ(d.state(), factor > 1 ? Drift::slower : Drift::faster) << factor << " seed " << seed;
      EXPECT_NEAR(d.factor() / factor, 1, 0.15) << seed;
      for (int i = 0; i < 200; ++i) steps.add_to(d, 1.3);
      EXPECT_EQ(d.state(), Drift::steady) << "again as before; seed " << seed;
    }
    std::sort(delays.begin(), delays.end());
    EXPECT_LE(delays[198], within) << factor;
  }
}

TEST(Drift, StepsThatSayNothingAreNotCounted) {
  DriftDetector d;
  for (double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_FALSE(d.add(bad, 1));
    EXPECT_FALSE(d.add(1, bad));
  }
  EXPECT_EQ(d.samples(), 0);
  EXPECT_EQ(d.state(), Drift::learning);
  EXPECT_EQ(d.factor(), 1);
}

TEST(Drift, ADevicesFactorIsOfItsPartsBySeconds) {
  DriftMonitor m;
  for (int i = 0; i < 200; ++i) {
    m.add("a:0", "large", 0.03, i < 100 ? 0.03 : 0.06);
    m.add("a:0", "small", 0.01, 0.02);  // always twice its prediction, so that it counts 0.02
    m.add("b:0", "all", 0.01, 0.01);
  }
  const auto factors = m.factors();
  EXPECT_NEAR(factors.at("a:0"), (0.06 + 0.02) / (0.03 + 0.02), 1e-9);
  EXPECT_EQ(factors.at("b:0"), 1);
  EXPECT_EQ(m.find("a:0", "large")->state(), Drift::slower);
  EXPECT_EQ(m.find("a:0", "small")->state(), Drift::steady);
  EXPECT_EQ(m.find("a:0", "none"), nullptr);
  EXPECT_EQ(m.find("c:0", "all"), nullptr);
  m.retry("a:0");
  m.retry("c:0");
  EXPECT_EQ(m.factors().at("a:0"), 1);
  int again = 1;
  while (again < 50 && !m.add("a:0", "large", 0.03, 0.06)) ++again;
  EXPECT_LT(again, 10) << "it has not forgotten how it was";
}

probes::Profile measured_profile(const Unit& unit) {
  auto p = test::place("two-cards").profile;
  const probes::Stat two{2e-3, 1e-3, 3e-3, 0, 5, 1, 1};
  auto& d = p.devices[1];
  d.units.push_back({probes::unit_key(unit.segment), "u", {1, 1, 0, 1}, 0, 0, two});
  return p;
}

TEST(Replan, AScaledProfileScalesEveryKindOfEstimate) {
  const Unit one = test::unit("layer 0", 0, 100), other = test::unit("layer 1", 1, 60);
  auto profile = measured_profile(one);
  const std::string id = profile.devices[1].id, still = profile.devices[0].id;
  profile.devices[1].ops.push_back(
      {"gemm@1", "g", "q8_0", "", kernels::Products::f32, 8, 1e9, 1e8, {5e-3, 5e-3, 5e-3, 0, 5, 1, 1}});
  profile.devices[1].ops.push_back(profile.devices[1].ops.back());
  profile.devices[1].ops.back().products = kernels::Products::int8;
  const auto slow = scaled(profile, {{id, 3}, {"no such device", 2}});
  CostModel before(profile), after(slow);
  std::set<std::string> hows;
  for (const Unit* unit : {&one, &other})
    for (const probes::Step& step : {probes::Step{1, 1, 0, 1}, probes::Step{16, 1, 0, 1}}) {
      const auto a = before.unit(id, unit->segment, step), b = after.unit(id, unit->segment, step);
      ASSERT_TRUE(a && b);
      hows.insert(to_string(a->how));
      EXPECT_EQ(a->how, b->how);
      EXPECT_NEAR(b->seconds / a->seconds, 3, 1e-9) << to_string(a->how);
      EXPECT_EQ(after.unit(still, unit->segment, step)->seconds, before.unit(still, unit->segment, step)->seconds);
      hows.insert(to_string(before.unit(still, unit->segment, step)->how));
    }
  EXPECT_EQ(hows, (std::set<std::string>{"measured", "interpolated", "ops", "roofline"}));
  EXPECT_DOUBLE_EQ(slow.devices[1].launch.median, 3 * profile.devices[1].launch.median);
  EXPECT_EQ(after.move(id, "", 1e6).seconds, before.move(id, "", 1e6).seconds) << "copies are not computed";
  for (double bad : {0.0, -2.0, std::nan(""), HUGE_VAL})
    EXPECT_EQ(to_json(scaled(profile, {{id, bad}})), to_json(profile)) << bad;
}

TEST(Replan, TheRule) {
  const MoveRule rule;  // 30 s, 60 s, twice, 5 %
  EXPECT_TRUE(worth_moving(rule, 0, {}, 0.030, 0.015, 14.9).move) << "saves 30 s";
  EXPECT_FALSE(worth_moving(rule, 0, {}, 0.030, 0.015, 15.1).move);
  EXPECT_FALSE(worth_moving(rule, 0, {}, 0.030, 0.0286, 0).move) << "4.7 %";
  EXPECT_TRUE(worth_moving(rule, 0, {}, 0.030, 0.0284, 0).move) << "5.3 %";
  EXPECT_FALSE(worth_moving(rule, 0, {}, 0.030, 0.031, 0).move);
  EXPECT_FALSE(worth_moving(rule, 0, {}, 0, 0, 0).move);
  EXPECT_FALSE(worth_moving(rule, 129.9, 100.0, 0.030, 0.015, 0).move);
  EXPECT_TRUE(worth_moving(rule, 130, 100.0, 0.030, 0.015, 0).move);
  EXPECT_NE(worth_moving(rule, 110, 100.0, 1, 1, 0).why.find("moved 10.0 s ago"), std::string::npos);
  EXPECT_NE(worth_moving(rule, 0, {}, 0.030, 0.015, 20).why.find("too little"), std::string::npos);
}

// A device that is slow for 5 s in every 10, and a steady one that is in between. Steps of 10 ms, the clock is theirs.
int moves_of(const MoveRule& rule, std::uint64_t seed, double& least_apart) {
  DriftMonitor monitor;
  Steps steps(seed, 0.05);
  std::optional<double> last_move;
  bool on_a = true;
  int moves = 0;
  for (double now = 0; now < 600;) {
    const bool slow = std::fmod(now, 10) >= 5;
    const double own = on_a ? 1 : 1.25, seconds = steps.next(on_a ? (slow ? 1.6 : 1) : 1.25);
    now += seconds;
    monitor.add(on_a ? "a:0" : "b:0", "all", 0.01 * own, seconds);
    if (!on_a && now - *last_move >= rule.dwell) monitor.retry("a:0");
    const auto factors = monitor.factors();
    const double a = factors.at("a:0") * 0.010, b = 0.0125;
    if (!worth_moving(rule, now, last_move, on_a ? a : b, on_a ? b : a, 0.1).move) continue;
    if (last_move) least_apart = std::min(least_apart, now - *last_move);
    last_move = now;
    on_a = !on_a;
    ++moves;
  }
  return moves;
}

TEST(Replan, ASlowDownThatComesAndGoesMovesOncePerDwell) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    double apart = 1e9, nervous = 1e9;
    const int moves = moves_of({}, seed, apart);
    EXPECT_LE(moves, 20) << seed;
    EXPECT_GE(moves, 4) << "it does go back; seed " << seed;
    EXPECT_GE(apart, 30) << seed;
    EXPECT_GT(moves_of({.dwell = 0.2}, seed, nervous), 40) << "what the dwell is for; seed " << seed;
  }
}

TEST(Replan, TheDoorsOfAChipSlowDownTogether) {
  const auto p = test::place("laptop");
  const auto f = of_chips(p.machine, {{"vulkan:1", 3.0}, {"cpu:0", 1.0}, {"gone:0", 2.0}});
  EXPECT_EQ(f.at("opencl:0"), 3) << "the other door of vulkan:1's chip";
  EXPECT_EQ(f.at("cpu:0"), 1);
  EXPECT_EQ(f.count("vulkan:0"), 0u);
  EXPECT_EQ(of_chips(p.machine, {{"vulkan:1", 3.0}, {"opencl:0", 1.5}}).at("opencl:0"), 1.5) << "measured itself";
}

// vulkan:0 is the fastest; vulkan:1 comes next.
struct TwoCards : testing::Test {
  TwoCards() {
    for (auto& d : p.profile.devices)
      if (d.id == "vulkan:1") d.read.per_second = 600e9;
    plan = *make_plan(p.machine, p.profile, request, test::take_all);
  }
  hal::Result<Replan> ask(double factor, const MoveRule& rule = {}, std::optional<double> last_move = {}) const {
    return replan(p.machine, p.profile, request, plan, {{"vulkan:0", factor}}, rule, 100, last_move, test::take_all);
  }
  static bool all_on(const Plan& plan, const std::string& device) {
    return std::all_of(plan.layers.begin(), plan.layers.end(), [&](const auto& l) { return l.device == device; });
  }
  test::Place p = test::place("two-cards");
  PlanRequest request = test::model(8, 100);
  Plan plan;
};

TEST_F(TwoCards, ADeviceThatDegradesIsLeftIffThatPays) {
  ASSERT_TRUE(all_on(plan, "vulkan:0")) << explain(plan);
  // The steps of the plan, three times slower from some moment on.
  DriftMonitor monitor;
  Steps steps(5);
  for (int i = 0; i < 300; ++i) {
    const double noise = steps.next() / 0.01;
    monitor.add("vulkan:0", "stage", plan.step_seconds, plan.step_seconds * 1.2 * noise * (i < 200 ? 1 : 3));
  }
  const double factor = monitor.factors().at("vulkan:0");
  EXPECT_NEAR(factor, 3, 0.3);

  const auto r = ask(factor);
  ASSERT_TRUE(r) << hal::describe(r.error());
  EXPECT_TRUE(all_on(r->current, "vulkan:0") && all_on(r->better, "vulkan:1")) << explain(r->better);
  for (std::size_t u = 0; u < plan.layers.size(); ++u)
    EXPECT_NEAR(r->current.layers[u].seconds, factor * plan.layers[u].seconds, 1e-12);
  EXPECT_GT(r->cost, static_cast<double>(plan.total_bytes) / 15e9) << "its weights over a link of 12 GB/s";
  EXPECT_TRUE(r->verdict.move) << r->verdict.why;

  const auto short_of_time = ask(factor, {.horizon = r->cost});
  ASSERT_TRUE(short_of_time);
  EXPECT_FALSE(short_of_time->verdict.move) << "saves half of what the move costs";
  EXPECT_NE(short_of_time->verdict.why.find("too little"), std::string::npos) << short_of_time->verdict.why;
  for (double f : {0.5, 1.0, 1.1, 1.4, 1.45, 1.5, 1.6, 2.0, 8.0})
    for (double horizon : {0.1, 0.5, 2.0, 60.0}) {
      const auto one = ask(f, {.horizon = horizon});
      ASSERT_TRUE(one) << hal::describe(one.error());
      const double saved = 1 - one->better.objective / one->current.objective;
      EXPECT_EQ(one->verdict.move, saved >= 0.05 && saved * horizon > 2 * one->cost) << f << " " << horizon;
      EXPECT_GE(saved, -simple_enough) << "never a plan that is worse than staying";
      if (f <= 1) {
        EXPECT_EQ(one->cost, 0) << "nothing moves";
      }
    }
}

TEST_F(TwoCards, NothingIsPlannedBeforeTheDwellEnds) {
  const auto r = ask(3, {}, 90);
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->verdict.move);
  EXPECT_EQ(to_json(r->better), to_json(plan));
  EXPECT_TRUE(ask(3, {}, 70)->verdict.move);
}

TEST_F(TwoCards, WhatCannotBeJudgedIsRefused) {
  plan.layers.pop_back();
  EXPECT_EQ(ask(3).error().code, hal::Code::invalid_argument);
  plan = *make_plan(p.machine, p.profile, request, test::take_all);
  plan.layers[1].experts = PlannedExperts{"cpu:0", {true, false}};
  EXPECT_EQ(ask(3).error().code, hal::Code::unsupported);
  plan.layers[1].experts.reset();
  request.mode = Mode::memory;
  EXPECT_EQ(ask(3).error().code, hal::Code::invalid_argument);
}

TEST_F(TwoCards, AMoveCostsStatesFromTheOldDeviceAndWeightsFromTheHost) {
  request.sessions = 3;
  Plan to = plan;
  to.layers[2].device = "vulkan:1";
  to.layers[2].bytes = 103'000'000;
  const CostModel cost(p.profile);
  EXPECT_DOUBLE_EQ(move_seconds(plan, to, request, p.profile),
                   cost.move("", "vulkan:1", 100e6).seconds + cost.move("vulkan:0", "vulkan:1", 3e6).seconds);
  EXPECT_EQ(move_seconds(plan, plan, request, p.profile), 0);
}

}  // namespace
}  // namespace switchyard::scheduler
