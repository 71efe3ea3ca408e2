#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "scheduler/serve/admission.h"
#include "tests/serve/small_machine.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::gb;

struct Rig {
  test::FakeClock clock;
  std::shared_ptr<Ledger> ledger = Ledger::make(test::small_machine());
  AdmissionOptions options;
  int tries = 0, wakes = 0;

  Rig() {
    options.now = clock.now();
    options.wake = [this] { ++wakes; };
  }
  Way way(Route route, const std::string& device, hal::Bytes bytes) {
    return {route, device, [this, device, bytes]() -> hal::Result<std::vector<Reservation>> {
              ++tries;
              std::vector<Reservation> held;
              for (const hal::Bytes part : {bytes - bytes / 2, bytes / 2}) {
                HAL_TRY(held.emplace_back(), ledger->reserve(device, part, {"chat", Use::kv}));
              }
              return held;
            }};
  }
  AdmissionRequest on_card(const std::string& name, hal::Bytes bytes, int priority = 0) {
    return {name, priority, {way(Route::own_device, "card:0", bytes)}};
  }
};

TEST(LedgerAdmission, TriesItsWaysInOrder) {
  Rig rig;
  Admission admission(rig.ledger, rig.options);
  auto request = [&] {
    return AdmissionRequest{
        "a",
        0,
        {rig.way(Route::own_device, "card:0", 5 * gb), rig.way(Route::other_device, "inner:0", 5 * gb),
         rig.way(Route::host_paged, "cpu:0", 5 * gb)}};
  };
  const Decision first = admission.admit(request());
  EXPECT_EQ(first.route, Route::own_device);
  EXPECT_EQ(first.device, "card:0");
  EXPECT_EQ(first.held.size(), 2u);
  EXPECT_EQ(first.reason, "");
  const Decision second = admission.admit(request());
  EXPECT_EQ(second.route, Route::other_device);
  EXPECT_EQ(second.reason.rfind("own_device card:0: out_of_memory: ", 0), 0u) << second.reason;
  const Decision third = admission.admit(request());
  EXPECT_EQ(third.route, Route::host_paged);
  EXPECT_NE(third.reason.find("; other_device inner:0: out_of_memory: "), std::string::npos) << third.reason;
  const Decision fourth = admission.admit(request());
  EXPECT_EQ(fourth.route, Route::host_paged);
  const Decision fifth = admission.admit(request());
  EXPECT_EQ(fifth.route, Route::queued);
  EXPECT_NE(fifth.reason.find("; host_paged cpu:0: out_of_memory: 1.50 GB short in host"), std::string::npos)
      << fifth.reason;
  EXPECT_EQ(admission.waiting(), 1u);
  EXPECT_TRUE(admission.cancel(fifth.id));
  EXPECT_FALSE(admission.cancel(fifth.id));
}

TEST(LedgerAdmission, WakesOnReleaseAndKeepsTurns) {
  Rig rig;
  Admission admission(rig.ledger, rig.options);
  Decision running = admission.admit(rig.on_card("running", 6 * gb));
  const auto large = admission.admit(rig.on_card("large", 7 * gb));
  const auto small = admission.admit(rig.on_card("small", gb));
  EXPECT_EQ(large.route, Route::queued);
  EXPECT_EQ(small.route, Route::queued) << "it would fit, but the large one was first";
  EXPECT_EQ(small.reason, "1 before it in the queue, first large");
  const auto urgent = admission.admit(rig.on_card("urgent", 3 * gb, 1));
  EXPECT_EQ(urgent.route, Route::queued);
  EXPECT_EQ(admission.admit(rig.on_card("most urgent", 2 * gb, 2)).route, Route::own_device) << "it is first";

  EXPECT_TRUE(admission.poll().empty());
  const int tries = rig.tries, wakes = rig.wakes;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(admission.poll().empty());
  EXPECT_EQ(rig.tries, tries) << "nothing was released";
  EXPECT_EQ(rig.wakes, wakes) << "what a failed try gives back wakes nobody";
  running.held.clear();
  EXPECT_EQ(rig.wakes, wakes + 2);
  auto admitted = admission.poll();
  ASSERT_EQ(admitted.size(), 1u);
  EXPECT_EQ(admitted[0].id, urgent.id);
  admitted.clear();
  admitted = admission.poll();
  ASSERT_EQ(admitted.size(), 2u);
  EXPECT_EQ(admitted[0].id, large.id);
  EXPECT_EQ(admitted[1].id, small.id);
}

TEST(LedgerAdmission, TheNextIsTriedWhenTheHeadLeaves) {
  Rig rig;
  Admission admission(rig.ledger, rig.options);
  const Decision running = admission.admit(rig.on_card("running", 6 * gb));
  const auto large = admission.admit(rig.on_card("large", 7 * gb));
  const auto small = admission.admit(rig.on_card("small", gb));
  EXPECT_TRUE(admission.cancel(large.id));
  EXPECT_GT(rig.wakes, 0);
  const auto admitted = admission.poll();
  ASSERT_EQ(admitted.size(), 1u);
  EXPECT_EQ(admitted[0].id, small.id);
}

// Memory that comes free after the last try and before the session is in the queue.
TEST(LedgerAdmission, AReleaseDuringATryIsNotLost) {
  Rig rig;
  Admission admission(rig.ledger, rig.options);
  Decision running = admission.admit(rig.on_card("running", 6 * gb));
  AdmissionRequest request = rig.on_card("late", 3 * gb);
  request.ways.push_back({Route::other_device, "none", [&]() -> hal::Result<std::vector<Reservation>> {
                            std::thread([&] { running.held.clear(); }).join();
                            return hal::Error{hal::Code::not_found, "none"};
                          }});
  const Decision late = admission.admit(std::move(request));
  EXPECT_EQ(late.route, Route::queued);
  EXPECT_EQ(rig.wakes, 1);
  const auto admitted = admission.poll();
  ASSERT_EQ(admitted.size(), 1u);
  EXPECT_EQ(admitted[0].id, late.id);
}

TEST(LedgerAdmission, WhoComesFirstTakesNobodysTurn) {
  for (const hal::Bytes wanted : {gb, 8 * gb}) {  // the urgent one fits, or gives up
    Rig rig;
    Admission admission(rig.ledger, rig.options);
    Decision running = admission.admit(rig.on_card("running", 6 * gb));
    Decision more = admission.admit(rig.on_card("more", gb));
    const auto waiting = admission.admit(rig.on_card("waiting", 5 * gb));
    EXPECT_EQ(waiting.route, Route::queued);
    running.held.clear();
    AdmissionRequest urgent = rig.on_card("urgent", wanted, 1);
    urgent.may_wait = false;
    const Decision decision = admission.admit(std::move(urgent));
    EXPECT_EQ(decision.route, wanted == gb ? Route::own_device : Route::refused);
    const auto admitted = admission.poll();
    ASSERT_EQ(admitted.size(), 1u);
    EXPECT_EQ(admitted[0].id, waiting.id);
  }
}

TEST(LedgerAdmission, OverflowsAfterWaitingOrWhenTheQueueIsFull) {
  Rig rig;
  std::vector<std::string> taken;
  bool takes = true;
  rig.options.longest_queue = 2;
  rig.options.longest_wait = std::chrono::seconds(30);
  rig.options.overflow = [&](const AdmissionRequest& request, const std::string&) -> hal::Status {
    if (!takes) return hal::Error{hal::Code::unavailable, "no endpoint"};
    taken.push_back(request.name);
    return hal::ok();
  };
  Admission admission(rig.ledger, rig.options);
  const Decision running = admission.admit(rig.on_card("running", 6 * gb));
  const auto first = admission.admit(rig.on_card("first", 7 * gb));
  rig.clock.pass(10);
  const auto second = admission.admit(rig.on_card("second", gb));
  const auto third = admission.admit(rig.on_card("third", gb));
  EXPECT_EQ(third.route, Route::overflow);
  EXPECT_NE(third.reason.find("; the queue is full (2)"), std::string::npos) << third.reason;
  AdmissionRequest hasty = rig.on_card("hasty", gb);
  hasty.may_wait = false;
  EXPECT_EQ(admission.admit(std::move(hasty)).route, Route::overflow);
  EXPECT_EQ(taken, (std::vector<std::string>{"third", "hasty"}));

  rig.clock.pass(19.9);
  EXPECT_TRUE(admission.poll().empty());
  rig.clock.pass(0.1);
  takes = false;
  const auto ended = admission.poll();
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].id, second.id) << "its turn came when the first one left";
  EXPECT_EQ(ended[0].route, Route::own_device);
  EXPECT_EQ(ended[1].id, first.id);
  EXPECT_EQ(ended[1].route, Route::refused);
  EXPECT_NE(ended[1].reason.find("; waited 30 s; overflow: unavailable: no endpoint"), std::string::npos)
      << ended[1].reason;
}

// Random sessions come and go: those that waited are admitted by priority, then arrival, whatever they want.
TEST(LedgerAdmission, FairByPriorityThenArrival) {
  int waited = 0;
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    auto below = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
    Rig rig;
    rig.options.longest_wait = std::chrono::hours(1);
    rig.options.longest_queue = 1000;
    Admission admission(rig.ledger, rig.options);
    std::vector<std::pair<int, std::uint64_t>> queue;  // (-priority, id)
    std::vector<std::vector<Reservation>> running;
    for (int i = 0; i < 500; ++i) {
      if (below(2)) {
        const int priority = below(3);
        Decision d = admission.admit(rig.on_card("s", static_cast<hal::Bytes>(1 + below(8)) * gb, priority));
        if (d.route == Route::own_device) {
          for (const auto& waiting : queue) ASSERT_LT(-waiting.first, priority) << "overtaken";
          running.push_back(std::move(d.held));
        } else {
          queue.push_back({-priority, d.id});
          std::sort(queue.begin(), queue.end());
        }
      } else if (!running.empty()) {
        std::swap(running[static_cast<std::size_t>(below(static_cast<int>(running.size())))], running.back());
        running.pop_back();
      }
      for (Decision& d : admission.poll()) {
        ASSERT_EQ(d.id, queue.front().second);
        queue.erase(queue.begin());
        running.push_back(std::move(d.held));
        ++waited;
      }
      ASSERT_EQ(admission.waiting(), queue.size());
    }
  }
  EXPECT_GT(waited, 500);
}

}  // namespace
}  // namespace switchyard
