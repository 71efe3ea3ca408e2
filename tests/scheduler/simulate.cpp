// The simulator of pipelines against a simulator of another kind: devices that look for their next job as time goes by.
#include "scheduler/simulate/simulate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <tuple>

namespace switchyard {
namespace {

using scheduler::simulate;
using scheduler::SimulatedJob;
using scheduler::SimulatedStage;
using scheduler::steady_period;

struct Case {
  std::vector<SimulatedStage> stages;
  std::vector<std::int64_t> rounds;
};

Case random_case(std::mt19937& random, std::int64_t most_rounds) {
  auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  Case c;
  c.rounds.resize(1 + below(4));
  for (auto& r : c.rounds) r = static_cast<std::int64_t>(below(static_cast<std::size_t>(most_rounds) + 1));
  c.stages.resize(1 + below(5));
  const std::size_t devices = std::min<std::size_t>(1 + below(3), c.stages.size());
  for (SimulatedStage& s : c.stages) {
    s.device = below(devices);
    const bool moves = below(2) == 0;
    for (std::size_t g = 0; g < c.rounds.size(); ++g) {
      s.compute.push_back(static_cast<double>(below(20)));  // 0 too
      if (moves) s.transfer.push_back(static_cast<double>(below(4)));
    }
  }
  return c;
}

// Time step by time step; each device has the list of jobs that it will run, and looks whether the first can begin.
std::vector<SimulatedJob> by_time(const Case& c) {
  std::vector<std::vector<SimulatedJob>> waiting(c.stages.size());
  std::size_t left = 0;
  const std::int64_t most = *std::max_element(c.rounds.begin(), c.rounds.end());
  for (std::size_t d = 0; d < waiting.size(); ++d)
    for (std::int64_t r = 0; r < most; ++r)
      for (std::size_t s = 0; s < c.stages.size(); ++s)
        for (std::size_t g = 0; g < c.rounds.size(); ++g)
          if (c.stages[s].device == d && r < c.rounds[g]) {
            waiting[d].push_back({d, s, g, r, 0, 0});
            ++left;
          }
  std::vector<SimulatedJob> begun;
  auto has_ended = [&](std::int64_t r, std::size_t s, std::size_t g, double now) {
    return std::any_of(begun.begin(), begun.end(), [&](const SimulatedJob& j) {
      return j.round == r && j.stage == s && j.group == g && j.end <= now;
    });
  };
  std::vector<double> free(waiting.size());
  for (double now = 0; left > 0; now += 1)
    for (bool any = true; any;) {  // jobs of no time let others begin at once
      any = false;
      for (std::size_t d = 0; d < waiting.size(); ++d) {
        if (waiting[d].empty() || free[d] > now) continue;
        SimulatedJob j = waiting[d].front();
        if (j.stage > 0 ? !has_ended(j.round, j.stage - 1, j.group, now)
                        : j.round > 0 && !has_ended(j.round - 1, c.stages.size() - 1, j.group, now))
          continue;
        const SimulatedStage& s = c.stages[j.stage];
        j.begin = now;
        j.end = free[d] = now + s.compute[j.group] + (s.transfer.empty() ? 0 : s.transfer[j.group]);
        begun.push_back(j);
        waiting[d].erase(waiting[d].begin());
        --left;
        any = true;
      }
    }
  std::sort(begun.begin(), begun.end(), [](const SimulatedJob& a, const SimulatedJob& b) {
    return std::tuple(a.round, a.stage, a.group) < std::tuple(b.round, b.stage, b.group);
  });
  return begun;
}

std::ostream& operator<<(std::ostream& out, const Case& c) {
  for (const auto& s : c.stages) {
    out << "\nstage on " << s.device << ":";
    for (std::size_t g = 0; g < s.compute.size(); ++g)
      out << " " << (s.transfer.empty() ? 0 : s.transfer[g]) << "+" << s.compute[g];
  }
  out << "\nrounds:";
  for (auto r : c.rounds) out << " " << r;
  return out;
}

TEST(Simulate, EqualsDevicesThatLookForWork) {
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    const Case c = random_case(random, 4);
    auto simulated = simulate(c.stages, c.rounds);
    ASSERT_TRUE(simulated) << hal::describe(simulated.error());
    const auto want = by_time(c);
    ASSERT_TRUE(simulated->jobs == want) << "seed " << seed << c;
    std::vector<double> busy(simulated->busy.size());
    double end = 0;
    for (const auto& j : want) {
      busy[j.device] += j.end - j.begin;
      end = std::max(end, j.end);
    }
    EXPECT_EQ(simulated->makespan, end) << "seed " << seed << c;
    for (std::size_t d = 0; d < busy.size(); ++d)
      EXPECT_DOUBLE_EQ(simulated->busy[d], end > 0 ? busy[d] / end : 0) << "seed " << seed << c;
  }
}

TEST(Simulate, TwoGroupsKeepTwoDevicesBusy) {
  const std::vector<SimulatedStage> stages{{0, {3, 3}, {}}, {1, {2, 2}, {1, 1}}};
  const std::int64_t rounds[] = {2, 2};
  auto s = simulate(stages, rounds);
  ASSERT_TRUE(s);
  const std::vector<SimulatedJob> want{{0, 0, 0, 0, 0, 3},  {0, 0, 1, 0, 3, 6},  {1, 1, 0, 0, 3, 6},
                                       {1, 1, 1, 0, 6, 9},  {0, 0, 0, 1, 6, 9},  {0, 0, 1, 1, 9, 12},
                                       {1, 1, 0, 1, 9, 12}, {1, 1, 1, 1, 12, 15}};
  EXPECT_EQ(s->jobs, want);
  EXPECT_EQ(s->makespan, 15);
  EXPECT_EQ(s->busy, (std::vector<double>{0.8, 0.8}));
  EXPECT_EQ(*steady_period(stages, 2), 6);  // both are always busy; one group alone needs 6 too
}

// The period is what many rounds come to: their end is never far from a straight line.
TEST(Simulate, ThePeriodIsThatOfManyRounds) {
  int above_devices_and_chains = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Case c = random_case(random, 1);
    auto period = steady_period(c.stages, c.rounds.size());
    ASSERT_TRUE(period);
    double all = 0;
    std::vector<double> of_device(c.stages.size()), of_group(c.rounds.size());
    for (const auto& s : c.stages)
      for (std::size_t g = 0; g < c.rounds.size(); ++g) {
        const double t = s.compute[g] + (s.transfer.empty() ? 0 : s.transfer[g]);
        all += t;
        of_device[s.device] += t;
        of_group[g] += t;
      }
    const double least = std::max(*std::max_element(of_device.begin(), of_device.end()),
                                  *std::max_element(of_group.begin(), of_group.end()));
    EXPECT_GE(*period, least) << "seed " << seed << c;
    EXPECT_LE(*period, all) << "seed " << seed << c;
    above_devices_and_chains += *period > least;
    for (std::int64_t rounds : {10, 1000}) {
      std::fill(c.rounds.begin(), c.rounds.end(), rounds);
      auto run = simulate(c.stages, c.rounds);
      ASSERT_TRUE(run);
      const double line = *period * static_cast<double>(rounds);
      EXPECT_GE(run->makespan, line - 1e-6) << "seed " << seed << c;
      EXPECT_LE(run->makespan, line + all) << "seed " << seed << c;
    }
  }
  EXPECT_GT(above_devices_and_chains, 5) << "the cases were too simple to tell the period from its simple bounds";
}

TEST(Simulate, RefusesWhatMakesNoSense) {
  const std::int64_t one[] = {1}, minus[] = {-1};
  auto says = [](const auto& result, const char* word) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, hal::Code::invalid_argument);
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  };
  const std::vector<SimulatedStage> fine{{0, {1}, {}}};
  says(simulate({}, one), "0 stages");
  says(simulate(fine, {}), "0 groups");
  says(simulate(fine, minus), "-1 rounds");
  says(steady_period(fine, 2), "1 steps");
  says(steady_period(std::vector<SimulatedStage>{{0, {1}, {1, 1}}}, 1), "2 transfers");
  says(steady_period(std::vector<SimulatedStage>{{1, {1}, {}}}, 1), "device 1");
  says(steady_period(std::vector<SimulatedStage>{{0, {-1}, {}}}, 1), "-1");
  says(steady_period(std::vector<SimulatedStage>{{0, {NAN}, {}}}, 1), "nan");
  says(steady_period(std::vector<SimulatedStage>{{0, {INFINITY}, {}}}, 1), "inf");
}

}  // namespace
}  // namespace switchyard
