// What the ledger does when other applications take memory and give it back, on a clock moved by hand.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "scheduler/serve/budget.h"
#include "tests/serve/small_machine.h"
#include "tests/support/devices.h"
#include "tests/support/fake_backend.h"
#include "tests/support/folder.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::gb;

// The card's pool, watched: `others` of its 8 GB are used by other applications.
struct Card {
  test::FakeClock clock;
  std::vector<LedgerAction> actions;
  double others = 0, stalled = 0;
  bool readable = true;
  std::shared_ptr<Ledger> ledger;

  Card() {
    LedgerOptions options;
    options.now = clock.now();
    options.on_action = [this](const LedgerAction& action) { actions.push_back(action); };
    ledger = Ledger::make(test::small_machine(), options);
    EXPECT_TRUE(ledger->watch_pool("card:0", [this]() -> hal::Result<Reading> {
      if (!readable) return hal::Error{hal::Code::device_lost, "gone"};
      const auto free = static_cast<hal::Bytes>((8 - others) * 1e9);
      const hal::Bytes used = std::min(row().reserved, free);  // what is reserved has been taken
      return Reading{free - used, used, stalled};
    }));
  }
  LedgerRow row() const {
    for (const LedgerRow& r : ledger->snapshot())
      if (r.name == "card:0") return r;
    return {};
  }
  Reservation hold(double gigabytes, Use use = Use::kv) {
    auto made = ledger->reserve("card:0", static_cast<hal::Bytes>(gigabytes * 1e9), {"chat", use});
    EXPECT_TRUE(made) << hal::describe(made.error());
    return std::move(*made);
  }
  // A relief that gives back what is wanted of a reservation.
  Registration relief(ReliefOrder order, const std::string& what, Reservation& of) {
    auto made = ledger->add_relief({order, "card:0", what, [&of](hal::Bytes wanted) {
                                      EXPECT_GT(wanted, 0u);
                                      const hal::Bytes before = of.bytes();
                                      of.shrink(wanted);
                                      return before - of.bytes();
                                    }});
    EXPECT_TRUE(made);
    return *made;
  }
  void poll(double after) {
    clock.pass(after);
    ledger->poll();
  }
  std::vector<std::string> told() {
    std::vector<std::string> texts;
    for (const LedgerAction& a : actions) texts.push_back(describe(a));
    actions.clear();
    return texts;
  }
  using Texts = std::vector<std::string>;
};

TEST(LedgerRelief, FollowsTheBudgetDownAndUp) {
  Card card;
  card.others = 3;
  card.poll(1);
  EXPECT_EQ(card.row().limit, 5 * gb);
  EXPECT_EQ(card.row().others, 3 * gb);
  auto held = card.hold(4);
  const auto refused = card.ledger->reserve("card:0", 2 * gb, {"b", Use::kv});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("other applications use 3.00 GB"), std::string::npos)
      << refused.error().message;
  card.others = 0;
  card.poll(1);
  EXPECT_EQ(card.row().limit, 8 * gb);
  EXPECT_TRUE(card.ledger->reserve("card:0", 2 * gb, {"b", Use::kv}));
  EXPECT_TRUE(card.told().empty());
}

TEST(LedgerRelief, AsksInOrderAndStopsWhenItIsEnough) {
  Card card;
  auto cache = card.hold(1, Use::prefix_cache), sessions = card.hold(3), state = card.hold(3, Use::state);
  // Registered in another order than they are asked in.
  const auto c = card.relief(ReliefOrder::shrink, "chat", state);
  const auto b = card.relief(ReliefOrder::move_sessions, "session 7", sessions);
  const auto a = card.relief(ReliefOrder::drop_caches, "prefixes", cache);

  card.others = 1.5;  // 6.5 left, 7 reserved; with the margin of 2 %: 0.63 wanted
  card.poll(1);
  EXPECT_EQ(card.told(),
            (Card::Texts{"card:0: stopped admitting: 0.50 GB more reserved than others leave, 0 % of the time stalled",
                         "card:0: drop_caches: prefixes: 0.63 GB of 0.63 GB wanted"}));
  EXPECT_EQ(cache.bytes(), 370'000'000u);
  EXPECT_EQ(sessions.bytes(), 3 * gb);

  card.others = 4;  // 4 left, 6.37 reserved, 2.45 wanted: the cache is not enough, sessions only after a while
  card.poll(2);
  EXPECT_EQ(card.told(), (Card::Texts{"card:0: drop_caches: prefixes: 0.37 GB of 2.45 GB wanted"}));
  card.poll(2);
  EXPECT_EQ(card.told(), (Card::Texts{"card:0: move_sessions: session 7: 2.08 GB of 2.08 GB wanted"}));
  EXPECT_EQ(state.bytes(), 3 * gb);

  card.others = 6;  // 2 left
  card.poll(2);
  card.poll(2);
  EXPECT_EQ(card.told(), (Card::Texts{"card:0: move_sessions: session 7: 0.92 GB of 1.96 GB wanted",
                                      "card:0: shrink: chat: 1.04 GB of 1.04 GB wanted"}));
  EXPECT_EQ(card.row().reserved, 196 * gb / 100);
}

TEST(LedgerRelief, NothingNewIsAdmittedUntilItHasBeenCalm) {
  Card card;
  auto held = card.hold(4);
  int woken = 0;
  const auto waker = card.ledger->on_release([&] { ++woken; });
  card.others = 5;
  card.poll(1);
  EXPECT_FALSE(card.row().admitting);
  card.others = 0;
  card.poll(1);
  const auto refused = card.ledger->reserve("card:0", 1, {"b", Use::kv});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("card:0 admits nothing for now"), std::string::npos);
  EXPECT_TRUE(held.grow(gb)) << "what runs may grow";
  EXPECT_TRUE(card.ledger->reserve("cpu:0", gb, {"b", Use::kv})) << "another pool";
  const int before = woken;
  card.poll(9.9);
  EXPECT_FALSE(card.row().admitting);
  EXPECT_EQ(woken, before);
  card.poll(0.1);
  EXPECT_TRUE(card.row().admitting);
  EXPECT_EQ(woken, before + 1) << "whoever waits is told";
  EXPECT_TRUE(card.ledger->reserve("card:0", 1, {"b", Use::kv}));
}

TEST(LedgerRelief, PromisesHaveTimeToBeKept) {
  Card card;
  auto held = card.hold(6);
  int asked = 0;
  const auto relief = card.ledger->add_relief({ReliefOrder::drop_caches, "card:0", "later", [&](hal::Bytes wanted) {
                                                 ++asked;
                                                 return wanted;
                                               }});
  card.others = 4;
  for (int i = 0; i < 4; ++i) card.poll(0.5);
  EXPECT_EQ(asked, 1);
  card.poll(0.5);
  EXPECT_EQ(asked, 2) << "it has not been kept";
  held.shrink(3 * gb);
  for (int i = 0; i < 10; ++i) card.poll(0.5);
  EXPECT_EQ(asked, 2);
}

TEST(LedgerRelief, SaysOnceThatAllWereAsked) {
  Card card;
  auto held = card.hold(6);
  auto some = card.hold(0.5);
  const auto relief = card.relief(ReliefOrder::shrink, "some", some);
  card.others = 4;
  for (int i = 0; i < 10; ++i) card.poll(2);
  const auto told = card.told();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[1], "card:0: shrink: some: 0.50 GB of 2.58 GB wanted");
  EXPECT_EQ(told[2], "card:0: all were asked, 2.00 GB still missing");
}

TEST(LedgerRelief, StallsDropCachesButMoveNobody) {
  Card card;
  auto cache = card.hold(2, Use::prefix_cache), sessions = card.hold(2);
  const auto a = card.relief(ReliefOrder::drop_caches, "prefixes", cache);
  const auto b = card.relief(ReliefOrder::move_sessions, "session 7", sessions);
  card.stalled = 0.2;
  for (int i = 0; i < 60; ++i) card.poll(1);
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_EQ(sessions.bytes(), 2 * gb);
  EXPECT_FALSE(card.row().admitting);
  EXPECT_EQ(card.told().front(),
            "card:0: stopped admitting: 0.00000 GB more reserved than others leave, 20 % of the time stalled");
}

TEST(LedgerRelief, WhatCannotBeReadStays) {
  Card card;
  card.others = 5;
  card.poll(1);
  card.readable = false;
  card.others = 0;
  card.poll(1);
  EXPECT_EQ(card.row().limit, 3 * gb);
}

// Others leave what is reserved plus or minus 3 %, another amount each second, for an hour.
TEST(LedgerRelief, DoesNotFlap) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> noise(-0.12, 0.12);
    Card card;
    auto cache = card.hold(1, Use::prefix_cache), sessions = card.hold(3);
    const auto a = card.relief(ReliefOrder::drop_caches, "prefixes", cache);
    const auto b = card.relief(ReliefOrder::move_sessions, "session 7", sessions);
    for (int second = 0; second < 3600; ++second) {
      card.others = 4 + noise(random);
      card.poll(1);
    }
    int moved = 0, dropped = 0;
    std::vector<double> stops;
    for (const LedgerAction& action : card.actions) {
      if (action.type == LedgerAction::Type::stopped)
        stops.push_back(std::chrono::duration<double>(action.time).count());
      moved += action.type == LedgerAction::Type::relieved && action.what.rfind("move", 0) == 0;
      dropped += action.type == LedgerAction::Type::relieved && action.what.rfind("drop", 0) == 0;
    }
    for (std::size_t i = 1; i < stops.size(); ++i) EXPECT_GE(stops[i] - stops[i - 1], 10);
    // The first dips take what is above all later ones, and the margin, from the cache: then nothing is lacking.
    EXPECT_EQ(moved, 0);
    EXPECT_GE(dropped, 1);
    EXPECT_LE(dropped, 5);
    EXPECT_GE(stops.size(), 1u);
    EXPECT_LE(stops.size(), 5u);
    EXPECT_TRUE(card.row().admitting);
    EXPECT_LE(card.row().reserved, 39 * gb / 10);
  }
}

TEST(LedgerRelief, ReclaimMakesRoomForOneRequest) {
  Card card;
  auto cache = card.hold(5, Use::prefix_cache), sessions = card.hold(2);
  const auto a = card.relief(ReliefOrder::drop_caches, "prefixes", cache);
  const auto b = card.relief(ReliefOrder::move_sessions, "session 7", sessions);
  EXPECT_EQ(card.ledger->reclaim("card:0", gb, ReliefOrder::drop_caches), 0u) << "it fits as it is";
  EXPECT_EQ(card.ledger->reclaim("card:0", 3 * gb, ReliefOrder::drop_caches), 2 * gb);
  EXPECT_TRUE(card.ledger->reserve("card:0", 3 * gb, {"b", Use::kv}));
  EXPECT_EQ(card.ledger->reclaim("card:0", 7 * gb, ReliefOrder::drop_caches), 3 * gb);
  EXPECT_EQ(sessions.bytes(), 2 * gb);
  EXPECT_EQ(card.ledger->reclaim("none", 7 * gb, ReliefOrder::shrink), 0u);
}

// A device with a limit of its own in a pool: one relief helps both, and is not asked for the sum.
TEST(LedgerRelief, RowsThatLackTheSameBytesAskOnce) {
  test::FakeClock clock;
  LedgerOptions options;
  options.now = clock.now();
  options.margin = 0;
  const auto ledger = Ledger::make(test::small_machine(), options);
  auto held = ledger->reserve("inner:0", 5 * gb, {"a", Use::prefix_cache});
  ASSERT_TRUE(held);
  const auto relief = ledger->add_relief({ReliefOrder::drop_caches, "inner:0", "x", [&](hal::Bytes wanted) {
                                            held->shrink(wanted);
                                            return wanted;
                                          }});
  ASSERT_TRUE(ledger->watch_pool("host", [&] { return Reading{0, 3 * gb}; }));
  ASSERT_TRUE(ledger->watch_device("inner:0", [&] { return Reading{0, 4 * gb}; }));
  ledger->poll();
  EXPECT_EQ(held->bytes(), 3 * gb);
}

TEST(LedgerRelief, CallbacksMayUseTheLedgerAndEndThemselves) {
  Card card;
  auto held = std::make_unique<Reservation>(card.hold(6));
  Registration own;
  int calls = 0;
  auto made = card.ledger->add_relief({ReliefOrder::drop_caches, "card:0", "all", [&](hal::Bytes) {
                                         ++calls;
                                         const hal::Bytes bytes = held->bytes();
                                         held.reset();
                                         card.ledger->poll();  // one is running: nothing
                                         EXPECT_EQ(card.row().reserved, 0u);
                                         EXPECT_TRUE(card.ledger->reserve("cpu:0", gb, {"x", Use::kv}));
                                         own.reset();
                                         return bytes;
                                       }});
  ASSERT_TRUE(made);
  own = std::move(*made);
  card.others = 4;
  card.poll(1);
  held = std::make_unique<Reservation>();
  EXPECT_EQ(calls, 1);
  card.others = 8;
  card.poll(10);
  EXPECT_EQ(calls, 1);
}

TEST(LedgerRelief, EndingARegistrationWaitsForItsCallback) {
  Card card;
  auto held = card.hold(6);
  std::atomic<bool> inside = false, ended = false;
  auto made = card.ledger->add_relief({ReliefOrder::drop_caches, "card:0", "slow", [&](hal::Bytes) -> hal::Bytes {
                                         inside = true;
                                         std::this_thread::sleep_for(std::chrono::milliseconds(50));
                                         EXPECT_FALSE(ended);
                                         return 0;
                                       }});
  card.others = 4;
  std::thread polls([&] { card.poll(1); });
  while (!inside) std::this_thread::yield();
  made->reset();
  ended = true;
  polls.join();
}

TEST(LedgerRelief, ARegistrationMayOutliveItsLedger) {
  Registration left;
  {
    Card card;
    auto held = card.hold(1);
    left = card.relief(ReliefOrder::shrink, "x", held);
  }
  left.reset();
}

TEST(LedgerBudget, ReadsOpenDevices) {
  const auto cpu = test::open_device("cpu:0");
  const auto buffer = cpu->allocate({64 << 20, hal::Memory::device, "held"});
  ASSERT_TRUE(buffer);
  const auto reading = read_budget(cpu)();
  ASSERT_TRUE(reading) << hal::describe(reading.error());
  EXPECT_GT(reading->available, 0u);
  EXPECT_GE(reading->used, hal::Bytes{64} << 20);
}

TEST(LedgerBudget, KeepsNoDeviceOpenAndSaysThatItIsClosed) {
  auto sim = test::open_device("sim:small", {"tests/data/sim/small.json"});
  const auto read = read_budget(sim, {}, true);
  ASSERT_TRUE(read());
  sim.reset();
  const auto closed = read();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, hal::Code::unavailable);
}

TEST(LedgerBudget, WatchesPoolsAndLimitsOfTheDevicesGiven) {
  auto device = [](const std::string& id, std::vector<hal::Heap> memory) {
    auto made = std::make_shared<test::FakeDevice>();
    made->about.id = id;
    made->memory = std::move(memory);
    return made;
  };
  const hal::Heap others_memory{20 * gb, 20 * gb, 2 * gb, false, true};
  const auto cpu = device("cpu:0", {{20 * gb, 9 * gb, 3 * gb, true, true}});
  const auto inner = device("inner:0", {others_memory, {6 * gb, 4 * gb, gb, true, false}});
  const auto elsewhere = device("elsewhere:0", {others_memory});
  const auto ledger = Ledger::make(test::small_machine());
  ASSERT_TRUE(watch(*ledger, test::small_machine(), {inner, cpu, elsewhere}));
  ledger->poll();
  const auto rows = ledger->snapshot();
  EXPECT_EQ(rows[0].limit, 13 * gb) << "as the CPU says, and what both have taken";
  EXPECT_EQ(rows[0].others, 7 * gb);
  EXPECT_EQ(rows[1].limit, 8 * gb) << "no device of it was given";
  ASSERT_EQ(rows[2].name, "inner:0");
  EXPECT_EQ(rows[2].limit, 5 * gb);
  EXPECT_EQ(read_budget(elsewhere)()->available, 20 * gb) << "it has no memory of its own";
}

TEST(LedgerBudget, ReadsStallsOfLinux) {
  const test::Folder folder;
  const std::string file = folder.file("pressure");
  std::ofstream(file) << "some avg10=12.50 avg60=1.00 avg300=0.10 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=1\n";
  EXPECT_DOUBLE_EQ(memory_stalls(file), 0.125);
  std::ofstream(file) << "nonsense\n";
  EXPECT_EQ(memory_stalls(file), 0);
  EXPECT_EQ(memory_stalls(file + ".none"), 0);
}

}  // namespace
}  // namespace switchyard
