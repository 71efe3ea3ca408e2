// Pipelines on devices with logical clocks, computing real numbers, run the very jobs that the simulator gives, at the
// very nanoseconds.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <set>

#include "scheduler/run/pipeline.h"
#include "scheduler/simulate/simulate.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::GroupStep;
using scheduler::Pipeline;
using scheduler::SimulatedJob;
using scheduler::SimulatedStage;
using scheduler::StageReport;
using scheduler::StepResult;
using scheduler::WantLogits;

struct Random {
  std::mt19937 executor;
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(executor); }
};

// Devices of any speed, with logical clocks.
struct Machine {
  std::vector<hal::DeviceRef> devices;
  std::vector<double> link_gb_s;  // 0: a device that takes rows piece by piece
  explicit Machine(Random& random, std::size_t count) {
    const test::Folder folder;
    std::vector<std::string> files;
    for (std::size_t d = 0; d < count; ++d) {
      const bool graphs = random.below(6) == 0;
      link_gb_s.push_back(graphs ? 0 : 0.01 * static_cast<double>(1 + random.below(100)));
      files.push_back(folder.file(std::to_string(d) + ".json"));
      std::ofstream(files.back()) << R"({"name": "d)" << d << R"(", "clock": "logical", "formats": [")"
                                  << (graphs ? "graph" : "call") << R"("], "speeds": {"memory_gb_s": )"
                                  << 1 + random.below(50) << R"(, "compute_gflop_s": )" << 1 + random.below(100)
                                  << R"(, "link_gb_s": )" << (graphs ? 0.1 : link_gb_s.back()) << R"(, "launch_us": )"
                                  << random.below(20) << "}}";
    }
    for (std::size_t d = 0; d < count; ++d) devices.push_back(test::open_device("sim:d" + std::to_string(d), files));
  }
};

double nanoseconds(double seconds) { return std::round(seconds * 1e9); }

TEST(Simulated, ThePipelineRunsTheJobsOfTheSimulator) {
  int overlapped = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random{std::mt19937(seed)};
    auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
    ASSERT_TRUE(model) << hal::describe(model.error());
    const auto units = static_cast<std::size_t>(models::unit_count(*model));
    const double hidden_bytes = 4 * static_cast<double>(model->config.hidden);

    // Stages: neighbours on different devices, devices numbered as they come.
    const std::size_t stages = 1 + random.below(5), groups = 1 + random.below(4);
    const Machine machine(random, stages == 1 ? 1 : std::min(stages, 2 + random.below(2)));
    std::vector<std::size_t> device_of{0};
    for (std::size_t seen = 1; device_of.size() < stages;) {
      const std::size_t next = random.below(std::min(seen + 1, machine.devices.size()));
      if (next == device_of.back()) continue;
      seen = std::max(seen, next + 1);
      device_of.push_back(next);
    }
    std::set<std::size_t> cuts{0};
    while (cuts.size() < stages) cuts.insert(random.below(units));
    std::vector<hal::DeviceRef> devices;
    for (std::size_t u = 0, s = 0; u < units; ++u) {
      if (u > 0) s += cuts.count(u);
      devices.push_back(machine.devices[device_of[s]]);
    }
    scheduler::ExecutorOptions options;
    options.context = 64;
    options.page_size = 16;
    options.sessions = 12;  // state does not grow: a step takes the same time in every round
    auto executor = Executor::open(std::move(*model), devices, options);
    ASSERT_TRUE(executor) << hal::describe(executor.error());

    // Groups: one to three sequences with one to four rows each, the same in all their rounds.
    std::vector<std::vector<std::unique_ptr<scheduler::Sequence>>> sequences(groups);
    std::vector<std::vector<std::vector<std::int32_t>>> tokens(groups);
    std::vector<GroupStep> steps(groups);
    std::vector<std::int64_t> rounds(groups);
    std::vector<SimulatedStage> simulated(stages);
    for (std::size_t g = 0; g < groups; ++g) {
      rounds[g] = static_cast<std::int64_t>(1 + random.below(6));
      double rows = 0;
      tokens[g].resize(1 + random.below(3));
      for (auto& mine : tokens[g]) {
        mine.resize(1 + random.below(4));
        for (auto& t : mine) t = static_cast<std::int32_t>(random.below(320));
        rows += static_cast<double>(mine.size());
        sequences[g].push_back(std::move((*executor)->create_sequence()).value());
        steps[g].push_back({sequences[g].back().get(), mine, WantLogits::last});
      }
      const std::vector<StageReport> before = (*executor)->report();
      ASSERT_EQ(before.size(), stages);
      ASSERT_TRUE((*executor)->step(steps[g]));
      const std::vector<StageReport> after = (*executor)->report();
      for (std::size_t s = 0; s < stages; ++s) {
        const double link = machine.link_gb_s[device_of[s]];
        const double transfer = s > 0 && link > 0 ? std::floor(rows * hidden_bytes / link) : 0;
        simulated[s].device = device_of[s];
        simulated[s].transfer.push_back(transfer);
        simulated[s].compute.push_back(nanoseconds(after[s].seconds - before[s].seconds) - transfer);
        ASSERT_GT(simulated[s].compute.back(), 0);
      }
    }

    auto ran = Pipeline::run(
        **executor, steps,
        [&](std::size_t g, std::int64_t round, const StepResult&) {
          return round + 1 < rounds[g] ? steps[g] : GroupStep{};
        },
        true);
    ASSERT_TRUE(ran) << hal::describe(ran.error());
    auto want = scheduler::simulate(simulated, rounds);
    ASSERT_TRUE(want) << hal::describe(want.error());
    const auto start = ran->jobs[0].at(0).begin;  // the steps above came before
    double sum = 0;
    for (std::size_t d = 0; d < ran->jobs.size(); ++d) {
      std::vector<SimulatedJob> got, expected;
      for (const scheduler::PipelineJob& j : ran->jobs[d]) {
        got.push_back({d, j.stage, j.group, j.round, static_cast<double>((j.begin - start).count()),
                       static_cast<double>((j.end - start).count())});
        sum += got.back().end - got.back().begin;
      }
      for (const SimulatedJob& j : want->jobs)
        if (j.device == d) expected.push_back(j);
      ASSERT_EQ(got.size(), expected.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_TRUE(got[i] == expected[i])
            << "job " << i << " of device " << d << ": stage " << got[i].stage << " group " << got[i].group << " round "
            << got[i].round << " at " << got[i].begin << " .. " << got[i].end << "; the simulator has stage "
            << expected[i].stage << " group " << expected[i].group << " round " << expected[i].round << " at "
            << expected[i].begin << " .. " << expected[i].end;
    }
    overlapped += want->makespan < sum;
  }
  EXPECT_GT(overlapped, 20) << "hardly ever did two devices work at the same time";
}

}  // namespace
}  // namespace switchyard
