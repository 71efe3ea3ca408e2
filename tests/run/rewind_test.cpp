// What a rewind runs, counted: convolutions and scans over the rows since a checkpoint, and nothing else.
#include "hal/layers/validate.h"
#include "scheduler/run/pipeline.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::RollbackHow;
using scheduler::Sequence;
using scheduler::StepItem;
using scheduler::WantLogits;

// Runs of programs on a device, with their ops and their rows.
struct Work {
  std::map<const hal::Program*, std::vector<std::string>> ops;
  std::vector<std::pair<std::vector<std::string>, std::int64_t>> runs;
};

struct CountedQueue : hal::Queue {
  std::shared_ptr<hal::Queue> inner;
  std::shared_ptr<Work> work;
  hal::Status submit(hal::Submission submission) override {
    for (const hal::Command& c : submission.commands)
      if (const auto* run = std::get_if<hal::Run>(&c))
        work->runs.emplace_back(work->ops[run->program.get()], run->dims[0]);
    return inner->submit(std::move(submission));
  }
};

struct CountedDevice : hal::Device {
  hal::DeviceRef inner = hal::validate(test::open_device("cpu:0"), nullptr);
  std::shared_ptr<Work> work = std::make_shared<Work>();
  const hal::Info& info() const override { return inner->info(); }
  hal::Result<std::vector<hal::Heap>> heaps() const override { return inner->heaps(); }
  hal::Path path(const hal::Device& to) const override { return inner->path(to); }
  hal::Result<hal::BufferRef> allocate(const hal::BufferDesc& desc) override { return inner->allocate(desc); }
  hal::Result<hal::TimelineRef> create_timeline(std::uint64_t initial) override {
    return inner->create_timeline(initial);
  }
  hal::Result<std::shared_ptr<hal::Queue>> create_queue(hal::QueueKind kind) override {
    auto made = std::make_shared<CountedQueue>();
    HAL_TRY(made->inner, inner->create_queue(kind));
    made->work = work;
    return std::shared_ptr<hal::Queue>(made);
  }
  hal::Claim claim(const hal::Segment& segment) const override { return inner->claim(segment); }
  hal::Result<hal::ProgramRef> compile(const hal::Segment& segment, const hal::CompileOptions& options) override {
    HAL_TRY(auto made, inner->compile(segment, options));
    for (const hal::Node& node : segment.nodes) work->ops[made.get()].push_back(node.op);
    return made;
  }
};

std::vector<std::int32_t> tokens(std::size_t n, std::int32_t first) {
  std::vector<std::int32_t> made(n);
  for (std::size_t i = 0; i < n; ++i) made[i] = (first + 7 * static_cast<std::int32_t>(i)) % 320;
  return made;
}

struct RewindOf : testing::Test {
  std::shared_ptr<CountedDevice> device = std::make_shared<CountedDevice>();
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Sequence> sequence;
  std::int64_t mamba_layers = 0;

  void open(ExecutorOptions options) {
    auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
    ASSERT_TRUE(model) << hal::describe(model.error());
    mamba_layers = model->config.count(models::LayerKind::mamba);
    options.context = 512;
    std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)), device);
    auto made = Executor::open(std::move(*model), devices, options);
    ASSERT_TRUE(made) << hal::describe(made.error());
    executor = std::move(*made);
    sequence = std::move(executor->create_sequence()).value();
  }
  std::vector<float> feed(std::span<const std::int32_t> t) {
    auto fed = executor->feed(*sequence, t, WantLogits::last);
    if (!fed) throw std::runtime_error(hal::describe(fed.error()));
    return std::move(*fed);
  }
  void expect_only_scans() {
    for (const auto& [ops, rows] : device->work->runs) {
      EXPECT_EQ(static_cast<std::int64_t>(ops.size()), 2 * mamba_layers);
      for (const std::string& op : ops) EXPECT_TRUE(op == "causal_conv1d@1" || op == "ssm_scan@1") << op;
    }
  }
};

TEST_F(RewindOf, SixtyFourDecodedTokensAreFourRunsOfScans) {
  ExecutorOptions options;
  options.rewind = 64;
  open(options);
  feed(tokens(200, 3));
  const auto after = feed(tokens(1, 5));
  const auto log = tokens(64, 11);
  for (std::int32_t t : log) feed({&t, 1});
  const auto steps = executor->steps();
  device->work->runs.clear();
  auto report = executor->rollback(*sequence, 1);  // the farthest from the checkpoint at 200
  ASSERT_TRUE(report) << hal::describe(report.error());
  EXPECT_EQ(report->how, RollbackHow::checkpoint) << "65 tokens are too many from 200: one was made at 264";
  EXPECT_EQ(device->work->runs.size(), 0u);
  report = executor->rollback(*sequence, 1);
  EXPECT_EQ(report->how, RollbackHow::rewind);
  EXPECT_EQ(report->tokens, 63);
  EXPECT_EQ(device->work->runs.size(), 4u) << "16 rows each";
  std::int64_t rows = 0;
  for (const auto& run : device->work->runs) rows += run.second;
  EXPECT_EQ(rows, 63);
  expect_only_scans();
  EXPECT_EQ(executor->steps(), steps);
  EXPECT_EQ(sequence->log().size(), 263u);
  device->work->runs.clear();
  report = executor->rollback(*sequence, 62);
  EXPECT_EQ(report->how, RollbackHow::rewind);
  EXPECT_EQ(report->tokens, 1);
  EXPECT_EQ(device->work->runs.size(), 1u);
  expect_only_scans();
  std::vector<float> again;
  again = feed({&log[0], 1});
  report = executor->rollback(*sequence, 1);
  EXPECT_EQ(report->how, RollbackHow::rewind);
  EXPECT_EQ(feed({&log[0], 1}), again);
  EXPECT_EQ(executor->rollback(*sequence, 102)->how, RollbackHow::replay) << "into the prompt";
}

// Rounds of speculation: a few rows are looked at, some of them stay.
TEST_F(RewindOf, RoundsOfSpeculationNeverRunTheModelAgain) {
  ExecutorOptions options;
  options.rewind = 64;
  open(options);
  feed(tokens(100, 3));
  for (int round = 0; round < 60; ++round) {
    feed(tokens(5, round));
    device->work->runs.clear();
    const auto steps = executor->steps();
    auto report = executor->rollback(*sequence, round % 5);
    ASSERT_TRUE(report) << hal::describe(report.error());
    EXPECT_NE(report->how, RollbackHow::replay) << "round " << round;
    EXPECT_EQ(executor->steps(), steps);
    expect_only_scans();
  }
  EXPECT_EQ(executor->state_use().blocks, 2);
  EXPECT_LE(executor->state_use().slots, 3);
  std::vector<std::int32_t> log = sequence->log();
  const auto got = feed(tokens(1, 9));
  auto fresh = std::move(executor->create_sequence()).value();
  ASSERT_TRUE(executor->feed(*fresh, std::span(log).first(100), WantLogits::none));
  for (std::size_t i = 100; i < log.size(); ++i)
    ASSERT_TRUE(executor->feed(*fresh, std::span(log).subspan(i, 1), WantLogits::none));
  auto want = executor->feed(*fresh, tokens(1, 9), WantLogits::last);
  EXPECT_EQ(got, *want) << "steps of few rows come out the same one by one";
}

TEST_F(RewindOf, AnyOfTheLastTokensIsNear) {
  ExecutorOptions options;
  options.rewind = 20;
  options.max_rows = 32;
  open(options);
  const auto prompt = tokens(31, 1);
  feed(prompt);
  for (std::size_t length = 32; length < 150; ++length) {
    feed(tokens(1, static_cast<std::int32_t>(length)));
    for (std::size_t to = std::max<std::size_t>(length - 20, 31); to <= length; ++to)
      ASSERT_EQ(executor->reach(*sequence, to), to) << "of " << length;
  }
}

TEST_F(RewindOf, StepsThatAreTooLargeAreReplayedFromTheStateBeforeThem) {
  ExecutorOptions options;
  options.rewind = 64;
  open(options);
  feed(tokens(10, 1));
  auto other = std::move(executor->create_sequence()).value();
  const auto many = tokens(200, 2), few = tokens(4, 3);
  StepItem items[] = {{other.get(), many}, {sequence.get(), few}};
  ASSERT_TRUE(executor->step(items));
  auto report = executor->rollback(*sequence, 1);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->how, RollbackHow::replay);
  EXPECT_EQ(report->tokens, 3);
  feed(tokens(4, 4));
  EXPECT_EQ(executor->rollback(*sequence, 2)->how, RollbackHow::rewind);
}

// Steps of two groups in flight on two devices, and then back.
TEST(Rewind, AfterAPipelineIsThatAfterSteps) {
  auto cpu = test::open_device("cpu:0"), sim = test::open_device("sim:kernel", {"tests/data/sim/kernel.json"});
  std::vector<std::unique_ptr<Executor>> executors;
  std::vector<std::vector<std::unique_ptr<Sequence>>> sequences(2);
  for (std::size_t e = 0; e < 2; ++e) {
    auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
    ASSERT_TRUE(model) << hal::describe(model.error());
    std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)), cpu);
    std::fill(devices.begin() + 4, devices.end(), sim);
    ExecutorOptions options;
    options.context = 256;
    options.rewind = 16;
    executors.push_back(std::move(Executor::open(std::move(*model), devices, options)).value());
    for (int g = 0; g < 2; ++g) sequences[e].push_back(std::move(executors[e]->create_sequence()).value());
  }
  constexpr std::int64_t rounds = 25;
  std::vector<std::vector<std::int32_t>> parts;
  for (std::int64_t r = 0; r <= rounds; ++r) parts.push_back(tokens(r ? 3 : 20, static_cast<std::int32_t>(r)));
  std::vector<scheduler::GroupStep> first;
  for (auto& s : sequences[0]) first.push_back({{s.get(), parts[0], WantLogits::last}});
  auto ran = scheduler::Pipeline::run(
      *executors[0], first, [&](std::size_t g, std::int64_t round, const auto&) -> scheduler::GroupStep {
        if (round == rounds) return {};
        return {{sequences[0][g].get(), parts[static_cast<std::size_t>(round) + 1], WantLogits::last}};
      });
  ASSERT_TRUE(ran) << hal::describe(ran.error());
  for (auto& s : sequences[1])
    for (const auto& part : parts) ASSERT_TRUE(executors[1]->feed(*s, part, WantLogits::last));
  for (std::size_t g = 0; g < 2; ++g) {
    std::vector<std::vector<float>> logits;
    for (std::size_t e = 0; e < 2; ++e) {
      auto back = executors[e]->rollback(*sequences[e][g], 7);
      ASSERT_TRUE(back) << hal::describe(back.error());
      EXPECT_EQ(back->how, RollbackHow::rewind);
      EXPECT_EQ(sequences[e][g]->log().size(), 20u + 3 * rounds - 7);
      logits.push_back(std::move(executors[e]->feed(*sequences[e][g], tokens(1, 9), WantLogits::last)).value());
    }
    EXPECT_EQ(logits[0], logits[1]);
  }
}

TEST_F(RewindOf, MoreThanAStepTakesIsRefused) {
  ExecutorOptions options;
  options.rewind = 300;
  auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
  ASSERT_TRUE(model);
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)), device);
  auto made = Executor::open(std::move(*model), devices, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, hal::Code::invalid_argument);
  EXPECT_NE(made.error().message.find("300"), std::string::npos);
}

}  // namespace
}  // namespace switchyard
