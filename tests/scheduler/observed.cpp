// What a run's steps took: from an executor, and as lines of a file.
#include "scheduler/drift/observed.h"

#include "tests/support/devices.h"
#include "tests/support/golden.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

Observed sample() {
  Observed run{"m \xff", "machine", "latency", 0xfedcba9876543210ull, 0.0473, {}};
  run.stages = {{"cpu:0", "embed", "layer 3 (mamba)", 5, Phase::prefill, 0, 0.02, 0, 2, "", 1},
                {"vulkan:0", "layer 4 (mamba)", "head", 7, Phase::decode, 0.01, 0.015, 1.5, 64, "slower", 1.49}};
  return run;
}

// Two devices of known rates: bytes per second of each.
probes::Profile rates(double cpu, double sim) {
  probes::Profile profile;
  for (auto [id, bytes] : {std::pair{"cpu:0", cpu}, {"sim:kernel", sim}}) {
    auto& d = profile.devices.emplace_back();
    d.id = id;
    d.read.per_second = d.stream.per_second = bytes;
    for (kernels::Products p : kernels::all_products) d.compute[p].per_second = 1e12;
  }
  return profile;
}

TEST(Observed, LinesAreReadBack) {
  const std::string line = to_json_line(sample());
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const auto read = observed_from_json_lines(line + "\n" + line);
  ASSERT_TRUE(read) << hal::describe(read.error());
  ASSERT_EQ(read->size(), 2u);
  const Observed& run = (*read)[1];
  EXPECT_EQ(run.model, "m \ufffd");
  EXPECT_EQ(run.model_hash, 0xfedcba9876543210ull);
  EXPECT_EQ(run.objective, 0.0473);
  EXPECT_EQ(to_json_line(run), line) << "with every field of every stage";
  EXPECT_EQ(run.stages[1].ratio, 1.5);
  EXPECT_EQ(run.stages[0].phase, Phase::prefill);
  EXPECT_TRUE(observed_from_json_lines("")->empty());
}

TEST(Observed, ABrokenLineIsNamed) {
  const std::string good = to_json_line(sample());
  auto with = [&](const std::string& from, const std::string& to) {
    std::string line = good;
    line.replace(line.find(from), from.size(), to);
    return line;
  };
  for (const std::string& bad :
       {std::string("{"), std::string("[]"), std::string("null"), good.substr(0, good.size() / 2),
        with("observed/1", "observed/9"), with("\"prefill\"", "\"lunch\""), with("fedcba9876543210", "no number"),
        with("\"units\"", "\"unites\"")}) {
    const auto read = observed_from_json_lines(good + "\n" + bad);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code, hal::Code::io);
    EXPECT_NE(read.error().message.find("line 3"), std::string::npos) << read.error().message;
  }
}

// Two stages on devices of known rates: what is predicted is the sum over the units of each, and what is measured are
// the executor's own seconds.
TEST(Observed, AnExecutorIsWatchedStepByStep) {
  const std::vector<std::string> sims{"tests/data/sim/kernel.json"};
  auto model = models::load(test::oracle_path("models/dense-hybrid-f32"));
  ASSERT_TRUE(model) << hal::describe(model.error());
  const auto units = static_cast<std::size_t>(models::unit_count(*model));
  std::vector<hal::DeviceRef> devices(units, test::open_device("cpu:0"));
  const std::size_t cut = units / 2;
  for (std::size_t u = cut; u < units; ++u)
    devices[u] = u == cut ? test::open_device("sim:kernel", sims) : devices[cut];
  ExecutorOptions options;
  options.context = 256;
  auto executor = Executor::open(std::move(model).value(), devices, options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  auto session = (*executor)->create_sequence();
  ASSERT_TRUE(session);

  const probes::Profile profile = rates(1e10, 2e10);
  StepObserver observer(**executor, &profile), blind(**executor, nullptr);
  std::vector<std::int32_t> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  auto feed = [&](std::span<const std::int32_t> part, Phase phase) {
    const probes::Step step{static_cast<std::int64_t>(part.size()), 1,
                            static_cast<std::int64_t>((*session)->log().size()), 1};
    ASSERT_TRUE((*executor)->feed(**session, part, WantLogits::last));
    observer.after(phase, step);
    blind.after(phase, step);
  };
  feed(tokens, Phase::prefill);
  const auto prefilled = (*executor)->report();
  feed(std::span(tokens).first(1), Phase::decode);

  const auto stages = observer.stages(), unknown = blind.stages();
  ASSERT_EQ(stages.size(), 4u) << "two phases of two stages";
  const auto report = (*executor)->report();
  ASSERT_EQ(report.size(), 2u);
  CostModel cost(profile);
  const auto chain = units_of((*executor)->model(), (*executor)->options());
  for (std::size_t i = 0; i < 4; ++i) {
    const ObservedStage& s = stages[i];
    const bool decode = i >= 2;
    const StageReport& r = report[i % 2];
    EXPECT_EQ(s.phase, decode ? Phase::decode : Phase::prefill);
    EXPECT_EQ(s.device, r.device);
    EXPECT_EQ(s.first, chain[static_cast<std::size_t>(r.first)].name);
    EXPECT_EQ(s.last, chain[static_cast<std::size_t>(r.last - 1)].name);
    EXPECT_EQ(s.samples, 1);
    EXPECT_DOUBLE_EQ(s.measured, decode ? r.seconds - prefilled[i % 2].seconds : prefilled[i % 2].seconds);
    EXPECT_GT(s.measured, 0);
    double sum = 0;
    const probes::Step step = decode ? probes::Step{1, 1, 10, 1} : probes::Step{10, 1, 0, 1};
    for (auto u = r.first; u < r.last; ++u)
      sum += cost.unit(s.device, chain[static_cast<std::size_t>(u)].segment, step)->seconds;
    EXPECT_NEAR(s.predicted / sum, 1, 1e-9) << i;
    EXPECT_NEAR(s.ratio, s.measured / s.predicted, 1e-12);
    EXPECT_EQ(s.drift, decode ? "learning" : "");
    EXPECT_EQ(unknown[i].predicted, 0);
    EXPECT_EQ(unknown[i].ratio, 0);
    EXPECT_EQ(unknown[i].measured, s.measured);
  }
  for (int i = 0; i < 70; ++i) feed(std::span(tokens).first(1), Phase::decode);
  EXPECT_EQ(observer.stages()[2].samples, 71);
  EXPECT_NE(observer.stages()[2].drift, "learning");
}

// Costs are of whole units: of one whose experts two devices share, nothing is predicted.
TEST(Observed, SharedExpertsAreMeasuredOnly) {
  auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
  ASSERT_TRUE(model) << hal::describe(model.error());
  auto cpu = test::open_device("cpu:0"), sim = test::open_device("sim:kernel", {"tests/data/sim/kernel.json"});
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)), cpu);
  ExecutorOptions options;
  options.context = 256;
  options.experts[1] = {sim, {true, false, true, false, true, false, true, false}};
  auto executor = Executor::open(std::move(model).value(), devices, options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  auto session = (*executor)->create_sequence();
  ASSERT_TRUE(session);
  const probes::Profile profile = rates(1e10, 1e10);
  StepObserver observer(**executor, &profile);
  const std::vector<std::int32_t> token{1};
  for (int i = 0; i < 70; ++i) {
    ASSERT_TRUE((*executor)->feed(**session, token, WantLogits::last));
    observer.after(Phase::decode, {1, 1, i, 1});
  }
  const auto stages = observer.stages();
  ASSERT_EQ(stages.size(), 4u) << "before, on both devices, after";
  for (std::size_t i = 0; i < 4; ++i) {
    const bool shared = i == 1 || i == 2;
    EXPECT_EQ(stages[i].device, i == 2 ? "sim:kernel" : "cpu:0");
    EXPECT_EQ(stages[i].predicted > 0, !shared) << i;
    EXPECT_EQ(stages[i].ratio > 0, !shared) << i;
    EXPECT_GT(stages[i].measured, 0);
    EXPECT_EQ(stages[i].factor, shared ? 1 : stages[i].factor);
    EXPECT_EQ(stages[i].drift == "learning", shared) << stages[i].drift;
  }
}

}  // namespace
}  // namespace switchyard::scheduler
