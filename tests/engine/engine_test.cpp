// The executor on small whole models: mixed steps, rollback, moves, fixed shapes, bounds; against the goldens.
#include "scheduler/run/engine.h"

#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Engine;
using scheduler::EngineOptions;
using scheduler::Session;
using scheduler::StepItem;
using scheduler::WantLogits;
using test::golden;
using test::open_device;
using test::oracle_path;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

std::unique_ptr<Engine> open_engine(const std::string& model, std::vector<hal::DeviceRef> devices,
                                    EngineOptions options = {}) {
  auto loaded = models::load(oracle_path("models/" + model));
  if (!loaded) throw std::runtime_error(hal::describe(loaded.error()));
  if (devices.size() == 1) devices.resize(static_cast<std::size_t>(models::unit_count(*loaded)), devices[0]);
  options.context = 512;
  auto engine = Engine::open(std::move(loaded).value(), devices, options);
  if (!engine) throw std::runtime_error(hal::describe(engine.error()));
  return std::move(engine).value();
}

std::unique_ptr<Session> session_of(Engine& engine) { return std::move(engine.create_session()).value(); }

std::vector<float> feed(Engine& engine, Session& session, std::span<const std::int32_t> tokens, WantLogits logits) {
  auto fed = engine.feed(session, tokens, logits);
  if (!fed) throw std::runtime_error(hal::describe(fed.error()));
  return std::move(fed).value();
}

std::vector<std::int32_t> continue_greedily(Engine& engine, Session& session, std::vector<float> logits,
                                            std::size_t n) {
  std::vector<std::int32_t> made;
  while (made.size() < n) {
    made.push_back(scheduler::greedy(logits));
    logits = feed(engine, session, {&made.back(), 1}, WantLogits::last);
  }
  return made;
}

struct OnDevice : testing::TestWithParam<std::tuple<const char*, const char*>> {
  std::string model() const { return std::get<0>(GetParam()); }
  hal::DeviceRef device() const { return open_device(std::get<1>(GetParam()), sims); }
};

TEST_P(OnDevice, LogitsAndGreedyTokensAreTheGoldens) {
  auto engine = open_engine(model(), {device()});
  auto g = golden(model());
  for (int n : {1, 7, 64, 300}) {
    auto session = session_of(*engine);
    auto logits = feed(*engine, *session, g.tokens(n), WantLogits::all);
    EXPECT_LT(test::logits_error(g, n, logits, 320), 1e-4) << n;
    auto last = std::vector<float>(logits.end() - 320, logits.end());
    EXPECT_EQ(continue_greedily(*engine, *session, last, g.greedy(n).size()), g.greedy(n)) << n;
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
  auto engine = open_engine("moe-hybrid-f32", {open_device(GetParam())});
  auto g = golden("moe-hybrid-f32");
  auto a = g.tokens(7), b = g.tokens(64);
  auto lone_a = session_of(*engine), lone_b = session_of(*engine);
  auto want_a = feed(*engine, *lone_a, a, WantLogits::all);
  auto want_b1 = feed(*engine, *lone_b, std::span(b).first(50), WantLogits::all);
  auto want_b2 = feed(*engine, *lone_b, std::span(b).subspan(50), WantLogits::all);

  auto sa = session_of(*engine), sb = session_of(*engine);
  std::vector<float> got_a, got_b;
  auto put = [](std::vector<float>& to, const std::vector<float>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  // First a prefill of b beside one token of a; then the rest of b beside the rest of a.
  StepItem first[] = {{sa.get(), std::span(a).first(1), WantLogits::all},
                      {sb.get(), std::span(b).first(50), WantLogits::all}};
  StepItem second[] = {{sb.get(), std::span(b).subspan(50), WantLogits::all},
                       {sa.get(), std::span(a).subspan(1), WantLogits::all}};
  auto r1 = engine->step(first);
  ASSERT_TRUE(r1) << hal::describe(r1.error());
  auto r2 = engine->step(second);
  ASSERT_TRUE(r2) << hal::describe(r2.error());
  put(got_a, r1->logits[0]);
  put(got_b, r1->logits[1]);
  put(got_b, r2->logits[0]);
  put(got_a, r2->logits[1]);
  put(want_b1, want_b2);
  EXPECT_EQ(got_a, want_a);
  EXPECT_EQ(got_b, want_b1);
}

TEST(Engine, RollbackSwitchesSlotsAndIsExact) {
  auto engine = open_engine("moe-hybrid-f32", {open_device("cpu:0")});
  auto g = golden("moe-hybrid-f32");
  auto tokens = g.tokens(64);
  auto session = session_of(*engine);
  feed(*engine, *session, std::span(tokens).first(20), WantLogits::none);
  ASSERT_TRUE(engine->mark(*session));
  auto want = feed(*engine, *session, std::span(tokens).subspan(20, 5), WantLogits::all);
  feed(*engine, *session, std::vector<std::int32_t>{9, 8, 7, 6}, WantLogits::none);
  ASSERT_TRUE(engine->rollback(*session));
  EXPECT_EQ(session->log().size(), 20u);
  EXPECT_EQ(feed(*engine, *session, std::span(tokens).subspan(20, 5), WantLogits::all), want);
  ASSERT_TRUE(engine->rollback(*session));
  EXPECT_EQ(feed(*engine, *session, std::span(tokens).subspan(20, 5), WantLogits::all), want);
}

TEST(Engine, ASessionMovesBetweenDevicesMidStream) {
  auto g = golden("moe-hybrid-f32");
  std::vector<std::unique_ptr<Engine>> engines;
  for (const char* id : {"cpu:0", "sim:kernel", "sim:graph", "cpu:0"})
    engines.push_back(open_engine("moe-hybrid-f32", {open_device(id, sims)}));
  auto session = session_of(*engines[0]);
  auto logits = feed(*engines[0], *session, g.tokens(7), WantLogits::last);
  std::vector<std::int32_t> made;
  for (std::size_t e = 0; e < engines.size(); ++e) {
    if (e > 0) {
      auto state = engines[e - 1]->save(*session);
      ASSERT_TRUE(state) << hal::describe(state.error());
      auto moved = engines[e]->restore(*state);
      ASSERT_TRUE(moved) << hal::describe(moved.error());
      session.reset();
      session = std::move(moved).value();
    }
    for (auto t : continue_greedily(*engines[e], *session, logits, 8)) made.push_back(t);
    // The logits after the last token: fed once more on a copy of the conversation.
    auto state = engines[e]->save(*session);
    ASSERT_TRUE(state);
    session.reset();
    auto again = session_of(*engines[e]);
    logits = feed(*engines[e], *again, state->log, WantLogits::last);
    session = std::move(again);
  }
  EXPECT_EQ(made, g.greedy(7));
}

TEST(Engine, OneModelSpreadOverDevices) {
  auto g = golden("moe-hybrid-g2-f32");
  auto cpu = open_device("cpu:0"), kernel = open_device("sim:kernel", sims), graph = open_device("sim:graph", sims);
  auto engine = open_engine("moe-hybrid-g2-f32",
                            {kernel, cpu, cpu, cpu, graph, graph, graph, kernel, kernel, graph, cpu, kernel, cpu, cpu});
  EXPECT_EQ(engine->report().size(), 8u);
  auto session = session_of(*engine);
  auto logits = feed(*engine, *session, g.tokens(64), WantLogits::all);
  EXPECT_LT(test::logits_error(g, 64, logits, 320), 1e-4);
}

TEST(Engine, LongPromptsTakeFewSteps) {
  auto engine = open_engine("dense-hybrid-f32", {open_device("cpu:0")});
  auto session = session_of(*engine);
  feed(*engine, *session, golden("dense-hybrid-f32").tokens(300), WantLogits::last);
  EXPECT_LE(engine->steps(), 3u);
}

TEST(Engine, RefusesWhatMakesNoSenseAndLosesNothing) {
  auto engine = open_engine("dense-hybrid-f32", {open_device("cpu:0")});
  auto session = session_of(*engine);
  feed(*engine, *session, std::vector<std::int32_t>{1, 2, 3}, WantLogits::none);
  auto refused = [&](std::vector<std::int32_t> tokens, const char* word) {
    auto r = engine->feed(*session, tokens, WantLogits::last);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, hal::Code::invalid_argument);
    EXPECT_NE(r.error().message.find(word), std::string::npos) << r.error().message;
  };
  refused({5, 320}, "320");
  refused({-1}, "-1");
  std::vector<std::int32_t> longer(510, 1);
  EXPECT_FALSE(engine->feed(*session, longer, WantLogits::none));
  StepItem twice[] = {{session.get(), std::span(longer).first(1)}, {session.get(), std::span(longer).first(1)}};
  EXPECT_FALSE(engine->step(twice));
  EXPECT_FALSE(engine->rollback(*session));
  auto again = session_of(*engine);
  std::vector<std::int32_t> log = session->log(), tail{7};
  EXPECT_EQ(log.size(), 3u);
  auto want = feed(*engine, *again, log, WantLogits::none);
  EXPECT_EQ(feed(*engine, *session, tail, WantLogits::last), feed(*engine, *again, tail, WantLogits::last));
}

}  // namespace
}  // namespace switchyard
