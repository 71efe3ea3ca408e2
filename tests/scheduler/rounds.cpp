// Throughput by groups of sessions in flight, against every placement tried with a formula of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "scheduler/cost/cost.h"
#include "scheduler/simulate/simulate.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

// The order of the jobs of several parts is searched, not solved, and a plan in two parts may be 1 % longer.
constexpr double most = 1.05, mostly = 1.015;

struct Case {
  test::Place at = test::place("two-cards");
  PlanRequest request = test::model(3, 60);
  std::vector<std::string> ids;
};

// Rates from `seed`; slower: how much devices slow each other down at most.
Case make_case(std::uint64_t seed, double slower) {
  Case c;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> rate(20e9, 60e9), factor(1, slower);
  c.request.mode = Mode::throughput;
  c.request.sessions = 4;
  c.request.effort = 10;
  for (auto& d : c.at.profile.devices) {
    d.read.per_second = rate(random);
    d.compute[kernels::Products::f32].per_second = 2 * rate(random);  // so a second row costs time
    c.ids.push_back(d.id);
  }
  for (const std::string& a : c.ids)
    for (const std::string& b : c.ids)
      if (a != b) c.at.profile.contention.push_back({a, b, factor(random), factor(random)});
  return c;
}

// Seconds of a round of a placement (a device per unit), by the definition.
double round_of(const Case& c, CostModel& cost, const std::vector<std::size_t>& x, std::int64_t groups) {
  const std::int64_t rows = c.request.sessions / groups;
  const probes::Step step{rows, rows, c.request.context - 1, rows};
  std::vector<double> busy(c.ids.size(), 0);
  const auto n = static_cast<std::size_t>(groups);
  double round = 0;
  std::vector<SimulatedStage> stages;
  for (int settle = 0; settle < 4; ++settle) {
    std::vector<double> mine(c.ids.size(), 0);
    double all = 0;
    std::string at;
    stages.clear();
    for (std::size_t u = 0; u < x.size(); ++u) {
      const auto& unit = c.request.units[u];
      double slower = 1;
      for (std::size_t e = 0; e < c.ids.size(); ++e)
        if (groups > 1 && e != x[u]) slower += busy[e] * (cost.slowed(c.ids[x[u]], c.ids[e], unit.segment, step) - 1);
      const double bytes = 4.0 * 1024 * static_cast<double>(rows);
      const double t =
          cost.move(at, c.ids[x[u]], bytes).seconds + slower * cost.unit(c.ids[x[u]], unit.segment, step)->seconds;
      mine[x[u]] += t;
      if (at != c.ids[x[u]]) stages.push_back({x[u], std::vector<double>(n, 0), {}});
      for (double& s : stages.back().compute) s += t;
      all += t;
      at = c.ids[x[u]];
    }
    all += cost.move(at, "", 4.0 * 1024 * static_cast<double>(rows)).seconds;
    if (!stages.empty())
      stages.back().compute.assign(
          n, stages.back().compute[0] + cost.move(at, "", 4.0 * 1024 * static_cast<double>(rows)).seconds);
    round = std::max(all, static_cast<double>(groups) * *std::max_element(mine.begin(), mine.end()));
    for (std::size_t e = 0; e < busy.size(); ++e)
      busy[e] = groups > 1 ? static_cast<double>(groups) * mine[e] / round : 0;
  }
  std::map<std::size_t, std::size_t> numbers;
  for (SimulatedStage& s : stages) s.device = numbers.try_emplace(s.device, numbers.size()).first->second;
  if (groups == 1) return round;
  // From two runs of the simulator, long after the start.
  constexpr std::int64_t some = 40, more = 80;
  const auto makespan = [&](std::int64_t rounds) {
    return simulate(stages, std::vector<std::int64_t>(n, rounds))->makespan;
  };
  return (makespan(more) - makespan(some)) / static_cast<double>(more - some);
}

// The shortest round of all placements and numbers of groups.
std::pair<double, std::int64_t> shortest(const Case& c, CostModel& cost) {
  std::pair<double, std::int64_t> best{1e9, 0};
  std::vector<std::size_t> x(c.request.units.size(), 0);
  for (;;) {
    for (std::int64_t groups : {1, 2, 4}) best = std::min(best, {round_of(c, cost, x, groups), groups});
    std::size_t u = 0;
    while (u < x.size() && ++x[u] == c.ids.size()) x[u++] = 0;
    if (u == x.size()) return best;
  }
}

TEST(Rounds, AsShortAsTheBestOfAllPlacements) {
  int several = 0, spread = 0, as_short = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Case c = make_case(seed, 1);
    CostModel cost(c.at.profile);
    const auto [round, groups] = shortest(c, cost);
    const auto plan = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    EXPECT_LE(plan->round_seconds, round * most) << "seed " << seed;
    as_short += plan->round_seconds <= round * mostly;
    EXPECT_GE(plan->round_seconds, round * (1 - 1e-9)) << "seed " << seed;
    EXPECT_LE(plan->objective_bound, round * (1 + 1e-9)) << "seed " << seed;
    EXPECT_DOUBLE_EQ(plan->tokens_per_second, 4 / plan->round_seconds);
    EXPECT_EQ(plan->step_rows, 4 / plan->groups);
    several += plan->groups > 1;
    const auto on = plan->devices();
    spread += std::any_of(on.begin(), on.end(), [&](const std::string& id) { return id != on.front(); });
    const auto again = plan_from_json(to_json(*plan));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->groups, plan->groups);
    EXPECT_EQ(again->round_seconds, plan->round_seconds);
  }
  EXPECT_GE(as_short, 18);
  EXPECT_GT(several, 5);
  EXPECT_GT(spread, 5);
}

TEST(Rounds, ContentionIsCountedAndTheBoundHolds) {
  double worst = 0, sum = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Case c = make_case(seed, 1.8);
    CostModel cost(c.at.profile);
    const double round = shortest(c, cost).first;
    const auto plan = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    EXPECT_LE(plan->objective_bound, round * (1 + 1e-9)) << "seed " << seed;
    std::vector<std::size_t> x;
    for (const std::string& id : plan->devices())
      x.push_back(static_cast<std::size_t>(std::find(c.ids.begin(), c.ids.end(), id) - c.ids.begin()));
    EXPECT_NEAR(plan->round_seconds, round_of(c, cost, x, plan->groups), 0.01 * plan->round_seconds) << "seed " << seed;
    worst = std::max(worst, plan->round_seconds / round);
    sum += plan->round_seconds / round;
  }
  // Who works beside whom is searched, not solved; devices that slow each other down by up to 1.8 times are a hard
  // case.
  EXPECT_LT(worst, 1.15);
  EXPECT_LT(sum / 20, 1.02);
}

TEST(Rounds, GroupsThatCannotBeAreRefused) {
  Case c = make_case(1, 1);
  c.request.max_sequences = 1;  // a step of two sessions is more than an executor takes
  const auto alone = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(alone) << hal::describe(alone.error());
  EXPECT_EQ(alone->groups, 4);
  c.request.rows = 300;
  EXPECT_EQ(make_plan(c.at.machine, c.at.profile, c.request, test::take_all).error().code, hal::Code::invalid_argument);
  c = make_case(1, 1);
  c.request.groups = 5;
  EXPECT_EQ(make_plan(c.at.machine, c.at.profile, c.request, test::take_all).error().code, hal::Code::invalid_argument);
  c.request.groups = 2;
  c.request.mode = Mode::latency;
  EXPECT_EQ(make_plan(c.at.machine, c.at.profile, c.request, test::take_all).error().code, hal::Code::invalid_argument);
  c.request.mode = Mode::throughput;
  auto plan = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->groups, 2);
  for (auto& pool : c.at.machine.pools) pool.budget = pool.total = 1000;
  const auto none = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(none) << hal::describe(none.error());
  EXPECT_FALSE(none->fits);
  c = make_case(1, 1);
  c.request.groups = 2;
  plan->groups = 9;
  EXPECT_FALSE(check(*plan, c.at.machine, c.at.profile, c.request, test::take_all));
}

}  // namespace
}  // namespace switchyard::scheduler
