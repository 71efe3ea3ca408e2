// The executor on small whole models: mixed steps, moves, fixed shapes, bounds; against the goldens.
#include "scheduler/run/executor.h"

#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::Sequence;
using scheduler::StepItem;
using scheduler::WantLogits;
using test::golden;
using test::open_device;
using test::oracle_path;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

std::unique_ptr<Executor> open_engine(const std::string& model, std::vector<hal::DeviceRef> devices,
                                      ExecutorOptions options = {}) {
  auto loaded = models::load(oracle_path("models/" + model));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  if (devices.size() == 1) devices.resize(static_cast<std::size_t>(models::unit_count(*loaded)), devices[0]);
  options.context = 512;
  auto executor = Executor::open(std::move(loaded).value(), devices, options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

std::unique_ptr<Sequence> sequence_of(Executor& executor) { return std::move(executor.create_sequence()).value(); }

std::vector<float> feed(Executor& executor, Sequence& sequence, std::span<const std::int32_t> tokens,
                        WantLogits logits) {
  auto fed = executor.feed(sequence, tokens, logits);
  if (!fed) throw std::runtime_error(hal::describe(fed.error()));
  return std::move(fed).value();
}

std::vector<std::int32_t> continue_greedily(Executor& executor, Sequence& sequence, std::vector<float> logits,
                                            std::size_t n) {
  std::vector<std::int32_t> made;
  while (made.size() < n) {
    made.push_back(scheduler::greedy(logits));
    logits = feed(executor, sequence, {&made.back(), 1}, WantLogits::last);
  }
  return made;
}

struct OnDevice : testing::TestWithParam<std::tuple<const char*, const char*>> {
  std::string model() const { return std::get<0>(GetParam()); }
  hal::DeviceRef device() const { return open_device(std::get<1>(GetParam()), sims); }
};

TEST_P(OnDevice, LogitsAndGreedyTokensAreTheGoldens) {
  auto executor = open_engine(model(), {device()});
  auto g = golden(model());
  for (int n : {1, 7, 64, 300}) {
    auto sequence = sequence_of(*executor);
    auto logits = feed(*executor, *sequence, g.tokens(n), WantLogits::all);
    EXPECT_LT(test::logits_error(g, n, logits, 320), 1e-4) << n;
    auto last = std::vector<float>(logits.end() - 320, logits.end());
    EXPECT_EQ(continue_greedily(*executor, *sequence, last, g.greedy(n).size()), g.greedy(n)) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OnDevice,
                         testing::Combine(testing::Values("dense-hybrid-f32", "moe-hybrid-f32", "moe-hybrid-g2-f32",
                                                          "dense-transformer-f32", "pure-mamba-f32"),
                                          testing::Values("cpu:0", "sim:kernel", "sim:graph")),
                         [](const auto& i) {
                           return test::as_name(std::string(std::get<0>(i.param)) + "_" + std::get<1>(i.param));
                         });

struct OnFound : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, OnFound, testing::ValuesIn(test::found_devices()),
                         [](const auto& i) { return test::as_name(i.param); });

TEST_P(OnFound, MixedStepsAreBitEqualToLoneOnes) {
  auto executor = open_engine("moe-hybrid-f32", {open_device(GetParam())});
  auto g = golden("moe-hybrid-f32");
  auto a = g.tokens(7), b = g.tokens(64);
  auto lone_a = sequence_of(*executor), lone_b = sequence_of(*executor);
  auto want_a = feed(*executor, *lone_a, a, WantLogits::all);
  auto want_b1 = feed(*executor, *lone_b, std::span(b).first(50), WantLogits::all);
  auto want_b2 = feed(*executor, *lone_b, std::span(b).subspan(50), WantLogits::all);

  auto sa = sequence_of(*executor), sb = sequence_of(*executor);
  std::vector<float> got_a, got_b;
  auto put = [](std::vector<float>& to, const std::vector<float>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  // First a prefill of b beside one token of a; then the rest of b beside the rest of a.
  StepItem first[] = {{sa.get(), std::span(a).first(1), WantLogits::all},
                      {sb.get(), std::span(b).first(50), WantLogits::all}};
  StepItem second[] = {{sb.get(), std::span(b).subspan(50), WantLogits::all},
                       {sa.get(), std::span(a).subspan(1), WantLogits::all}};
  auto r1 = executor->step(first);
  ASSERT_TRUE(r1) << hal::describe(r1.error());
  auto r2 = executor->step(second);
  ASSERT_TRUE(r2) << hal::describe(r2.error());
  put(got_a, r1->logits[0]);
  put(got_b, r1->logits[1]);
  put(got_b, r2->logits[0]);
  put(got_a, r2->logits[1]);
  put(want_b1, want_b2);
  EXPECT_EQ(got_a, want_a);
  EXPECT_EQ(got_b, want_b1);
}

TEST(Executor, ASessionMovesBetweenDevicesMidStream) {
  auto g = golden("moe-hybrid-f32");
  std::vector<std::unique_ptr<Executor>> executors;
  for (const char* id : {"cpu:0", "sim:kernel", "sim:graph", "cpu:0"})
    executors.push_back(open_engine("moe-hybrid-f32", {open_device(id, sims)}));
  auto sequence = sequence_of(*executors[0]);
  auto logits = feed(*executors[0], *sequence, g.tokens(7), WantLogits::last);
  std::vector<std::int32_t> made;
  for (std::size_t e = 0; e < executors.size(); ++e) {
    if (e > 0) {
      auto state = executors[e - 1]->save(*sequence);
      ASSERT_TRUE(state) << hal::describe(state.error());
      auto moved = executors[e]->restore(*state);
      ASSERT_TRUE(moved) << hal::describe(moved.error());
      sequence.reset();
      sequence = std::move(moved).value();
    }
    for (auto t : continue_greedily(*executors[e], *sequence, logits, 8)) made.push_back(t);
    // The logits after the last token: fed once more on a copy of the conversation.
    auto state = executors[e]->save(*sequence);
    ASSERT_TRUE(state);
    sequence.reset();
    auto again = sequence_of(*executors[e]);
    logits = feed(*executors[e], *again, state->log, WantLogits::last);
    sequence = std::move(again);
  }
  EXPECT_EQ(made, g.greedy(7));
}

TEST(Executor, OneModelSpreadOverDevices) {
  auto g = golden("moe-hybrid-g2-f32");
  auto cpu = open_device("cpu:0"), kernel = open_device("sim:kernel", sims), graph = open_device("sim:graph", sims);
  auto executor = open_engine(
      "moe-hybrid-g2-f32", {kernel, cpu, cpu, cpu, graph, graph, graph, kernel, kernel, graph, cpu, kernel, cpu, cpu});
  EXPECT_EQ(executor->report().size(), 8u);
  auto sequence = sequence_of(*executor);
  auto logits = feed(*executor, *sequence, g.tokens(64), WantLogits::all);
  EXPECT_LT(test::logits_error(g, 64, logits, 320), 1e-4);
}

TEST(Executor, LongPromptsTakeFewSteps) {
  auto executor = open_engine("dense-hybrid-f32", {open_device("cpu:0")});
  auto sequence = sequence_of(*executor);
  feed(*executor, *sequence, golden("dense-hybrid-f32").tokens(300), WantLogits::last);
  EXPECT_LE(executor->steps(), 3u);
}

TEST(Executor, RefusesWhatMakesNoSenseAndLosesNothing) {
  auto executor = open_engine("dense-hybrid-f32", {open_device("cpu:0")});
  auto sequence = sequence_of(*executor);
  feed(*executor, *sequence, std::vector<std::int32_t>{1, 2, 3}, WantLogits::none);
  auto refused = [&](std::vector<std::int32_t> tokens, const char* word) {
    auto r = executor->feed(*sequence, tokens, WantLogits::last);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, hal::Code::invalid_argument);
    EXPECT_NE(r.error().message.find(word), std::string::npos) << r.error().message;
  };
  refused({5, 320}, "320");
  refused({-1}, "-1");
  std::vector<std::int32_t> longer(510, 1);
  EXPECT_FALSE(executor->feed(*sequence, longer, WantLogits::none));
  StepItem twice[] = {{sequence.get(), std::span(longer).first(1)}, {sequence.get(), std::span(longer).first(1)}};
  EXPECT_FALSE(executor->step(twice));
  EXPECT_FALSE(executor->rollback(*sequence, 4));
  EXPECT_FALSE(executor->rollback(*sequence, -1));
  EXPECT_FALSE(executor->checkpoint(*sequence)) << "opened without";
  auto again = sequence_of(*executor);
  std::vector<std::int32_t> log = sequence->log(), tail{7};
  EXPECT_EQ(log.size(), 3u);
  auto want = feed(*executor, *again, log, WantLogits::none);
  EXPECT_EQ(feed(*executor, *sequence, tail, WantLogits::last), feed(*executor, *again, tail, WantLogits::last));
}

}  // namespace
}  // namespace switchyard
