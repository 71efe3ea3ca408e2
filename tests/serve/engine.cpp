// Engine and sessions: whatever happens to a session, its tokens are those of a run of its own, the goldens'.
#include "scheduler/serve/engine.h"

#include <thread>

#include "tests/support/folder.h"
#include "tests/support/serving.h"

namespace switchyard {
namespace {

using scheduler::EngineOptions;
using scheduler::Event;
using scheduler::Finish;
using scheduler::Piece;
using scheduler::Session;
using scheduler::SessionOptions;
using test::need;
using Tokens = std::vector<std::int32_t>;
using namespace std::chrono_literals;

SessionOptions on(const std::string& pin) {
  SessionOptions options;
  options.pin = pin;
  return options;
}

std::vector<std::string> places() {
  auto ids = test::found_devices();
  for (const char* sim : {"sim:kernel", "sim:graph"}) ids.push_back(sim);
  return ids;
}

struct Serving : testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, Serving, testing::ValuesIn(places()),
                         [](const auto& i) { return test::as_name(i.param); });

TEST_P(Serving, SessionsAtOnceGiveTheGoldens) {
  auto devices = test::fleet();
  auto g = test::golden("moe-hybrid-f32");
  for (std::int64_t rows : {3, 40}) {
    EngineOptions options;
    options.pin = GetParam();
    options.max_rows = rows;
    options.max_sequences = 3;
    auto engine = test::engine(*devices, options);
    std::vector<std::unique_ptr<Session>> sessions;
    for (int n : {1, 7, 64, 300}) {
      sessions.push_back(need(engine->create()));
      ASSERT_TRUE(sessions.back()->submit(g.tokens(n), {static_cast<std::int64_t>(g.greedy(n).size()), {}}));
    }
    std::size_t i = 0;
    for (int n : {1, 7, 64, 300}) {
      const Piece all = need(sessions[i++]->wait());
      EXPECT_EQ(all.tokens, g.greedy(n)) << n << " in steps of at most " << rows;
      EXPECT_EQ(all.finish, Finish::length);
    }
  }
}

TEST(ServingMoves, WhileTokensComeNoneIsLostAndNoneComesTwice) {
  auto devices = test::fleet();
  auto g = test::golden("moe-hybrid-f32");
  auto engine = test::engine(*devices);
  auto pinned = need(engine->create(on("cpu:0"))), moving = need(engine->create(on("cpu:0")));
  const auto most = static_cast<std::int64_t>(g.greedy(7).size());
  Tokens streamed;
  ASSERT_TRUE(pinned->submit(g.tokens(64), {static_cast<std::int64_t>(g.greedy(64).size()), {}}));
  ASSERT_TRUE(moving->submit(g.tokens(7), {most, {}}, [&](const Piece& p) {
    streamed.insert(streamed.end(), p.tokens.begin(), p.tokens.end());
    std::this_thread::sleep_for(1ms);  // so that the moves come in between
  }));
  while (need(moving->stats()).cached == 0) std::this_thread::sleep_for(1ms);
  for (const char* to : {"sim:kernel", "sim:graph", "cpu:0", "sim:kernel", "cpu"}) {
    auto moved = moving->move(to);
    ASSERT_TRUE(moved) << hal::describe(moved.error());
    EXPECT_GT(moved->bytes, 0u);
    EXPECT_GT(moved->seconds, 0);
  }
  ASSERT_TRUE(moving->wait());
  EXPECT_EQ(streamed, g.greedy(7));
  EXPECT_EQ(need(pinned->wait()).tokens, g.greedy(64));
  EXPECT_EQ(need(moving->stats()).moves, 5);
  EXPECT_EQ(need(moving->stats()).devices, "cpu:0");
  EXPECT_EQ(need(pinned->stats()).devices, "cpu:0");
  EXPECT_FALSE(moving->move("nowhere:7"));
  EXPECT_EQ(need(moving->stats()).devices, "cpu:0") << "it stays where it is";
}

TEST(ServingLog, ForkRollbackSaveAndLoadGiveTheGoldens) {
  auto devices = test::fleet();
  auto g = test::golden("moe-hybrid-f32");
  const Tokens want = g.greedy(64);
  const auto most = static_cast<std::int64_t>(want.size());
  for (const char* id : {"cpu:0", "sim:graph"}) {
    auto engine = test::engine(*devices);
    auto first = need(engine->create(on(id)));
    ASSERT_TRUE(first->submit(g.tokens(64), {5, {}}));
    Tokens made = need(first->wait()).tokens;
    auto other = need(first->fork());
    for (Session* s : {first.get(), other.get()}) {
      ASSERT_TRUE(s->submit({}, {most - 5, {}}));
      EXPECT_EQ(need(s->wait()).tokens, Tokens(want.begin() + 5, want.end())) << id;
    }
    ASSERT_TRUE(first->rollback(most - 2));
    ASSERT_TRUE(first->submit({}, {3, {}}));
    EXPECT_EQ(need(first->wait()).tokens, Tokens(want.begin() + 2, want.begin() + 5)) << id;
    EXPECT_FALSE(first->rollback(1000));
    ASSERT_TRUE(first->submit({}, {0, {}}));
    EXPECT_EQ(need(first->wait()).tokens, Tokens{}) << "only read";

    const test::Folder folder;
    const std::string path = folder.file("session.snapshot");
    ASSERT_TRUE(first->save(path));
    auto later = test::engine(*devices);
    auto loaded = need(later->load(path, on("sim:kernel")));
    ASSERT_TRUE(loaded->submit({}, {most - 5, {}}));
    EXPECT_EQ(need(loaded->wait()).tokens, Tokens(want.begin() + 5, want.end())) << id;
  }
}

TEST(ServingTrouble, ALostDeviceCostsNoToken) {
  auto g = test::golden("moe-hybrid-f32");
  for (std::int64_t every : {0, 16}) {
    auto devices = test::fleet({"tests/data/sim/faulty_late.json"});
    std::mutex mutex;
    std::vector<Event> events;
    EngineOptions options;
    options.max_rows = 32;
    options.checkpoint_every = every;
    options.metrics = std::make_shared<scheduler::Metrics>();
    options.on_event = [&](const Event& e) {
      std::lock_guard lock(mutex);
      events.push_back(e);
    };
    auto engine = test::engine(*devices, options);
    std::vector<std::unique_ptr<Session>> sessions;
    for (int n : {7, 64, 300}) {
      sessions.push_back(need(engine->create(on("sim:faulty_late"))));
      ASSERT_TRUE(sessions.back()->submit(g.tokens(n), {static_cast<std::int64_t>(g.greedy(n).size()), {}}));
    }
    std::size_t i = 0;
    for (int n : {7, 64, 300}) EXPECT_EQ(need(sessions[i++]->wait()).tokens, g.greedy(n)) << n;
    for (const auto& s : sessions) {
      EXPECT_EQ(need(s->stats()).devices, "cpu:0");
      EXPECT_GE(need(s->stats()).failures, 1);
    }
    const std::string text = options.metrics->prometheus();
    for (const char* line : {"switchyard_faults_total{device=\"sim:faulty_late\",kind=\"lost\"} 1\n",
                             "switchyard_replays_total{session=\"1\",device=\"cpu:0\"} 1\n",
                             "switchyard_made_tokens_total{session=\"3\",device=\"cpu:0\"}"})
      EXPECT_NE(text.find(line), std::string::npos) << line << "is not in\n" << text;
    std::lock_guard lock(mutex);
    EXPECT_EQ(
        std::count_if(events.begin(), events.end(), [](const Event& e) { return e.what == Event::What::quarantined; }),
        1);
    EXPECT_EQ(
        std::count_if(events.begin(), events.end(), [](const Event& e) { return e.what == Event::What::resumed; }), 3);
  }
}

TEST(ServingTrouble, AStrictSessionWaitsForItsDeviceAndGoesOnThere) {
  auto g = test::golden("moe-hybrid-f32");
  auto devices = test::fleet({"tests/data/sim/faulty_late.json"});
  EngineOptions options;
  options.first_rest = 0.05;
  options.checkpoint_every = 8;
  auto engine = test::engine(*devices, options);
  SessionOptions strict = on("sim:faulty_late");
  strict.strict = true;
  auto session = need(engine->create(strict));
  ASSERT_TRUE(session->submit(g.tokens(7), {static_cast<std::int64_t>(g.greedy(7).size()), {}}));
  EXPECT_EQ(need(session->wait()).tokens, g.greedy(7));
  EXPECT_EQ(need(session->stats()).devices, "sim:faulty_late");
  EXPECT_GE(need(session->stats()).failures, 1);
}

TEST(ServingTrouble, AStepThatTakesTooLongIsGivenUp) {
  auto g = test::golden("moe-hybrid-f32");
  auto devices = test::fleet({"tests/data/sim/hangs.json"});
  EngineOptions options;
  options.late_factor = 1;
  options.late_seconds = 0.4;
  auto engine = test::engine(*devices, options);
  auto session = need(engine->create(on("sim:hangs")));
  ASSERT_TRUE(session->submit(g.tokens(7), {static_cast<std::int64_t>(g.greedy(7).size()), {}}));
  EXPECT_EQ(need(session->wait()).tokens, g.greedy(7));
  EXPECT_EQ(need(session->stats()).devices, "cpu:0");
}

TEST(ServingUse, WhatMakesNoSenseIsRefusedAndChangesNothing) {
  auto devices = test::fleet();
  auto engine = test::engine(*devices);
  for (const char* pin : {"nowhere:3", "cpu:0, sim:kernel", "not cpu, cpu:0", ",", "not nowhere"})
    EXPECT_FALSE(engine->create(on(pin))) << pin;
  SessionOptions wrong = on("cpu:0");
  wrong.context = 100000;
  EXPECT_FALSE(engine->create(wrong));
  wrong = on("cpu:0");
  wrong.sampling.temperature = -1;
  EXPECT_FALSE(engine->create(wrong));

  auto session = need(engine->create(on("cpu:0")));
  const auto refused = [](const auto& result, hal::Code code, const char* word) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  };
  const auto invalid = hal::Code::invalid_argument;
  refused(session->wait(), invalid, "nothing was submitted");
  refused(session->next(), invalid, "no submission");
  refused(session->submit({}), invalid, "nothing to go on from");
  refused(session->submit(Tokens{1, 320}), invalid, "320");
  refused(session->submit(Tokens{1}, {-1, {}}), invalid, "max_tokens");
  refused(session->submit(Tokens{1}, {1, {-7}}), invalid, "-7");
  refused(session->submit(Tokens(512, 1)), invalid, "context");
  EXPECT_EQ(need(session->log()), Tokens{});
  ASSERT_TRUE(session->submit(Tokens{1, 2, 3}, {400, {}}));
  refused(session->submit(Tokens{1}), invalid, "under way");
  refused(session->rollback(1), invalid, "under way");
  refused(session->fork(), invalid, "under way");
  ASSERT_TRUE(session->next());
  ASSERT_TRUE(session->cancel());
  EXPECT_EQ(need(session->wait()).finish, Finish::cancelled);
  ASSERT_TRUE(session->cancel()) << "nothing to cancel is no error";
  ASSERT_TRUE(session->close());
  refused(session->close(), invalid, "closed");
  refused(session->submit(Tokens{1}), invalid, "closed");
  refused(session->next(), invalid, "closed");
  refused(session->wait(), invalid, "closed");
  refused(session->move("cpu:0"), invalid, "closed");
  refused(session->save("x"), invalid, "closed");
  refused(session->log(), invalid, "closed");
  EXPECT_TRUE(engine->sessions().empty());
}

TEST(ServingUse, CallbacksThatThrowOrCallBackAreAnErrorEach) {
  auto devices = test::fleet();
  auto engine = test::engine(*devices);
  auto session = need(engine->create(on("cpu:0")));
  ASSERT_TRUE(session->submit(Tokens{1, 2}, {8, {}}, [](const Piece&) { throw std::runtime_error("no room"); }));
  auto ended = session->wait();
  ASSERT_FALSE(ended);
  EXPECT_NE(ended.error().message.find("no room"), std::string::npos) << ended.error().message;

  std::optional<hal::Error> inside;
  int pieces = 0;
  ASSERT_TRUE(session->submit({}, {3, {}}, [&](const Piece&) {
    ++pieces;
    if (auto moved = session->move("cpu:0"); !moved) inside = moved.error();
  }));
  ASSERT_TRUE(session->wait());
  EXPECT_EQ(pieces, 3);
  ASSERT_TRUE(inside);
  EXPECT_EQ(inside->code, hal::Code::invalid_argument);

  SessionOptions masked = on("cpu:0");
  masked.mask = [](std::span<const std::int32_t>, std::span<std::uint8_t>) { throw 7; };
  auto other = need(engine->create(masked));
  ASSERT_TRUE(other->submit(Tokens{1}, {1, {}}));
  EXPECT_FALSE(other->wait());
  EXPECT_EQ(need(other->log()), Tokens{1}) << "nothing is lost";
}

TEST(ServingUse, StopTokensTheContextAndSamplingEndOrSteerASubmission) {
  auto devices = test::fleet();
  auto g = test::golden("moe-hybrid-f32");
  auto engine = test::engine(*devices);
  const Tokens want = g.greedy(7);
  auto session = need(engine->create(on("cpu:0")));
  ASSERT_TRUE(session->submit(g.tokens(7), {100, {want[3]}}));
  Piece all = need(session->wait());
  EXPECT_EQ(all.finish, Finish::stop);
  const auto first = std::find(want.begin(), want.end(), want[3]);
  EXPECT_EQ(all.tokens, Tokens(want.begin(), first)) << "the stop token is not given";
  EXPECT_EQ(need(session->log()).back(), want[3]) << "but is in the log";

  SessionOptions little = on("cpu:0");
  little.context = 10;
  auto small = need(engine->create(little));
  ASSERT_TRUE(small->submit(g.tokens(7), {100, {}}));
  all = need(small->wait());
  EXPECT_EQ(all.finish, Finish::context);
  EXPECT_EQ(all.tokens, Tokens(want.begin(), want.begin() + 3));

  SessionOptions drawn = on("cpu:0");
  drawn.sampling.temperature = 1;
  drawn.sampling.seed = 5;
  std::vector<Tokens> runs;
  for (const char* pin : {"cpu:0", "sim:kernel", "cpu:0"}) {
    drawn.pin = pin;
    auto s = need(engine->create(drawn));
    ASSERT_TRUE(s->submit(g.tokens(7), {20, {}}));
    runs.push_back(need(s->wait()).tokens);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
  drawn.sampling.seed = 6;
  auto s = need(engine->create(drawn));
  ASSERT_TRUE(s->submit(g.tokens(7), {20, {}}));
  EXPECT_NE(need(s->wait()).tokens, runs[0]);
}

TEST(ServingUse, EnginesLiveSideBySideAndOutliveTheirSessions) {
  auto devices = test::fleet();
  auto g = test::golden("moe-hybrid-f32");
  auto one = test::engine(*devices), two = test::engine(*devices);
  auto a = need(one->create(on("cpu:0"))), b = need(two->create(on("cpu:0")));
  ASSERT_TRUE(a->submit(g.tokens(7), {400, {}}));
  ASSERT_TRUE(b->submit(g.tokens(64), {static_cast<std::int64_t>(g.greedy(64).size()), {}}));
  EXPECT_EQ(need(b->wait()).tokens, g.greedy(64));
  one.reset();
  auto gone = a->log();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, hal::Code::invalid_argument);
}

}  // namespace
}  // namespace switchyard
