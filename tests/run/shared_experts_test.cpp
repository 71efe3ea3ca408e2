// Whole models whose experts two devices share, chosen by use: the reference's tokens, and no bit by chance.
#include <fstream>
#include <future>

#include "scheduler/experts/choose.h"
#include "scheduler/run/executor.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::golden;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph_any.json"};

models::Model load(const std::string& name) {
  auto model = models::load(test::oracle_path("models/" + name));
  if (!model) throw std::runtime_error(hal::describe(model.error()));
  return std::move(model).value();
}

hal::Result<std::unique_ptr<Executor>> open(const std::string& name, hal::DeviceRef device, ExecutorOptions options) {
  models::Model model = load(name);
  options.context = 512;
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), device);
  return Executor::open(std::move(model), std::move(devices), options);
}

std::vector<float> feed(Executor& executor, Sequence& sequence, std::span<const std::int32_t> tokens, WantLogits want) {
  auto fed = executor.feed(sequence, tokens, want);
  if (!fed) throw std::runtime_error(hal::describe(fed.error()));
  return std::move(fed).value();
}

// Layers 0 to 4 shared, in halves of all kinds; layer 5 is whole.
ExecutorOptions shared_with(const hal::DeviceRef& other) {
  ExecutorOptions options;
  for (std::int64_t layer = 0; layer < 5; ++layer) {
    std::vector<bool>& chosen = (options.experts[layer] = {other, {}}).chosen;
    for (int e = 0; e < 8; ++e) chosen.push_back((0x35 << layer >> e & 1) != 0);
  }
  return options;
}

struct Shared : testing::TestWithParam<std::string> {
  hal::DeviceRef first = test::open_device(GetParam(), sims), second = test::open_device("cpu:0");
};
std::vector<std::string> partners() {
  auto ids = test::found_devices();
  ids.push_back("sim:kernel");
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Devices, Shared, testing::ValuesIn(partners()),
                         [](const auto& i) { return test::as_name(i.param); });

TEST_P(Shared, LogitsTokensAndRoutingAreTheGoldens) {
  for (const char* name : {"moe-hybrid-f32", "moe-hybrid-g2-f32"}) {
    auto g = golden(name);
    ExecutorOptions options = shared_with(second);
    std::vector<StepRouting> steps;
    options.on_routing = [&](const StepRouting& step) { steps.push_back(step); };
    auto executor = open(name, first, options);
    ASSERT_TRUE(executor) << hal::describe(executor.error());
    for (int n : {1, 7, 64}) {
      auto sequence = std::move((*executor)->create_sequence()).value();
      auto logits = feed(**executor, *sequence, g.tokens(n), WantLogits::all);
      EXPECT_LT(test::logits_error(g, n, logits, 320), 1e-4) << name << " " << n;
      std::vector<float> last(logits.end() - 320, logits.end());
      std::vector<std::int32_t> made;
      while (made.size() < g.greedy(n).size()) {
        made.push_back(greedy(last));
        last = feed(**executor, *sequence, {&made.back(), 1}, WantLogits::last);
      }
      EXPECT_EQ(made, g.greedy(n)) << name << " " << n;
      if (n != 7) continue;
      const auto want = g.get<std::int32_t>("p7.route_index");  // [layers, 7, top_k]
      const StepRouting& step = steps[steps.size() - 1 - made.size()];
      ASSERT_EQ(step.rows, 7);
      const ExpertShape& s = step.shape;
      for (std::int64_t i = 0; i < s.layers * 7 * s.top_k; ++i) {
        const std::int64_t layer = i / (7 * s.top_k), token = i / s.top_k % 7, j = i % s.top_k;
        EXPECT_EQ(step.chosen[static_cast<std::size_t>((token * s.layers + layer) * s.top_k + j)],
                  want[static_cast<std::size_t>(i)]);
      }
    }
    const auto report = (*executor)->report();
    std::vector<std::int64_t> twice;  // units with a report of both devices
    for (std::size_t i = 1; i < report.size(); ++i)
      if (report[i].first == report[i - 1].first) {
        twice.push_back(report[i].first);
        EXPECT_EQ(report[i - 1].device, GetParam());
        EXPECT_EQ(report[i].device, "cpu:0");
        EXPECT_GT(report[i].resident, 0u);
      }
    EXPECT_EQ(twice, (std::vector<std::int64_t>{2, 4, 6, 8, 10}));
  }
}

TEST_P(Shared, MixedStepsAreBitEqualToLoneOnesAndSessionsMove) {
  auto g = golden("moe-hybrid-f32");
  const auto a = g.tokens(64), b = g.tokens(300);
  auto executor = open("moe-hybrid-f32", first, shared_with(second));
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  auto sa = std::move((*executor)->create_sequence()).value(), sb = std::move((*executor)->create_sequence()).value();
  const auto want_a = feed(**executor, *sa, a, WantLogits::last);
  const auto want_b = feed(**executor, *sb, std::span(b).first(100), WantLogits::last);
  auto ma = std::move((*executor)->create_sequence()).value(), mb = std::move((*executor)->create_sequence()).value();
  StepItem items[] = {{ma.get(), a}, {mb.get(), std::span(b).first(100)}};
  auto mixed = (*executor)->step(items);
  ASSERT_TRUE(mixed) << hal::describe(mixed.error());
  EXPECT_EQ(mixed->logits[0], want_a);
  EXPECT_EQ(mixed->logits[1], want_b);

  auto plain = open("moe-hybrid-f32", second, {});
  ASSERT_TRUE(plain);
  auto state = (*executor)->save(*ma);
  ASSERT_TRUE(state) << hal::describe(state.error());
  auto moved = (*plain)->restore(*state);
  ASSERT_TRUE(moved);
  const std::vector<std::int32_t> next{5};
  const auto here = feed(**executor, *ma, next, WantLogits::last),
             there = feed(**plain, **moved, next, WantLogits::last);
  EXPECT_EQ(greedy(here), greedy(there));
  for (std::size_t i = 0; i < here.size(); ++i) EXPECT_NEAR(here[i], there[i], 1e-3);
}

TEST(SharedExperts, WhatCannotBeSharedSaysWhy) {
  auto cpu = test::open_device("cpu:0"), graph = test::open_device("sim:graph_any", sims);
  auto message = [](auto executor) { return executor ? std::string("opened") : hal::describe(executor.error()); };
  ExecutorOptions none;
  none.experts[9] = {cpu, std::vector<bool>(8, true)};
  EXPECT_NE(message(open("moe-hybrid-f32", cpu, none)).find("layer 9"), std::string::npos);
  ExecutorOptions dense;
  dense.experts[0] = {cpu, {true, false}};
  EXPECT_NE(message(open("dense-hybrid-f32", cpu, dense)).find("0 experts"), std::string::npos);
  ExecutorOptions few;
  few.experts[1] = {cpu, {true, false}};
  EXPECT_NE(message(open("moe-hybrid-f32", cpu, few)).find("1 of 2 chosen, of a unit with 8"), std::string::npos);
  EXPECT_NE(message(open("moe-hybrid-f32", cpu, shared_with(graph))).find("fixed shapes"), std::string::npos);
}

// What the simulated device counts as taken from it is what the executor says it holds there.
TEST(SharedExperts, ReportsAllMemoryOfBothDevices) {
  auto cpu = test::open_device("cpu:0");
  for (bool own : {true, false}) {
    auto sim = test::open_device("sim:kernel", sims);
    auto executor = open("moe-hybrid-f32", own ? sim : cpu, shared_with(own ? cpu : sim));
    ASSERT_TRUE(executor) << hal::describe(executor.error());
    auto sequence = std::move((*executor)->create_sequence()).value();
    feed(**executor, *sequence, golden("moe-hybrid-f32").tokens(64), WantLogits::last);
    const auto reports = (*executor)->device_report();
    ASSERT_EQ(reports.size(), 2u);
    const DeviceReport& r = reports[own ? 0 : 1];
    ASSERT_EQ(r.device, "sim:kernel");
    EXPECT_GT(r.io, 0u);
    EXPECT_EQ(r.weights + r.state + r.scratch + r.io, (*sim->heaps())[0].used)
        << "weights " << r.weights << ", state " << r.state << ", scratch " << r.scratch << ", io " << r.io;
  }
}

// The other device is out of memory when the first part is under way: the error comes after that part, which reads the
// caller's rows; then the next step is sound.
TEST(SharedExperts, ARefusedPartIsToldWhenNothingIsUnderWay) {
  auto cpu = test::open_device("cpu:0");
  const models::Model model = load("moe-hybrid-f32");
  const test::Folder folder;
  const std::string file = folder.file("one_short.json");
  int refused = 0;
  for (int n = 1;; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    std::ofstream(file) << R"({"name": "one_short", "faults": {"allocation": )" << n << "}}";
    auto other = test::open_device("sim:one_short", {file});
    auto shared = SharedExperts::make(cpu, {other, {true, true, true, false, false, false, true, false}},
                                      models::build_segment(model, 2, 3, step_shape({})));
    if (!shared) continue;
    constexpr std::int64_t rows = 5;
    const hal::Bytes bytes = rows * static_cast<hal::Bytes>(model.config.hidden) * 4;
    const hal::Slice hidden{cpu->allocate({bytes, hal::Memory::device, "hidden"}).value(), 0, bytes};
    ASSERT_TRUE(hidden.buffer->write(0, std::vector<std::byte>(bytes)));
    const hal::TimelineRef gate = cpu->create_timeline(0).value();
    auto done = std::async(std::launch::async, [&] { return (*shared)->submit(rows, hidden, hal::Point{gate, 1}); });
    const bool waits = done.wait_for(std::chrono::milliseconds(200)) == std::future_status::timeout;
    ASSERT_TRUE(gate->signal(1));
    auto first = done.get();
    if (first) {
      EXPECT_TRUE(first->timeline->wait(first->value, std::chrono::minutes(1)));
      break;  // no allocation is left to fail
    }
    ++refused;
    EXPECT_TRUE(waits);
    EXPECT_EQ(first.error().code, hal::Code::out_of_memory) << hal::describe(first.error());
    auto again = (*shared)->submit(rows, hidden, std::nullopt);
    ASSERT_TRUE(again) << hal::describe(again.error());
    EXPECT_TRUE(again->timeline->wait(again->value, std::chrono::minutes(1)));
  }
  EXPECT_GE(refused, 4) << "x, index, gate and the sum";
}

TEST(SharedExperts, ALostDeviceFailsTheStepAndTheLogGoesOnElsewhere) {
  auto g = golden("moe-hybrid-f32");
  ExecutorOptions options = shared_with(test::open_device("sim:faulty", {"tests/data/sim/faulty.json"}));
  options.experts.erase(options.experts.begin(), std::prev(options.experts.end()));  // one submission per step there
  auto executor = open("moe-hybrid-f32", test::open_device("cpu:0"), options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  auto sequence = std::move((*executor)->create_sequence()).value();
  const auto tokens = g.tokens(7);
  ASSERT_TRUE((*executor)->feed(*sequence, std::span(tokens).first(3), WantLogits::none));
  ASSERT_TRUE((*executor)->feed(*sequence, std::span(tokens).subspan(3, 2), WantLogits::none));
  auto lost = (*executor)->feed(*sequence, std::span(tokens).subspan(5), WantLogits::last);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, hal::Code::device_lost) << hal::describe(lost.error());
  EXPECT_EQ(sequence->log(), std::vector<std::int32_t>(tokens.begin(), tokens.begin() + 5));

  auto whole = open("moe-hybrid-f32", test::open_device("cpu:0"), {});
  ASSERT_TRUE(whole);
  auto again = std::move((*whole)->create_sequence()).value();
  feed(**whole, *again, sequence->log(), WantLogits::none);
  EXPECT_EQ(greedy(feed(**whole, *again, std::span(tokens).subspan(5), WantLogits::last)), g.greedy(7)[0]);
}

}  // namespace
}  // namespace switchyard
