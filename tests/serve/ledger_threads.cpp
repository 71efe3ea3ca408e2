// Many threads at once, to be run under a thread sanitizer too.
#include <gtest/gtest.h>

#include <condition_variable>
#include <random>
#include <thread>

#include "scheduler/serve/admission.h"
#include "tests/serve/small_machine.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::gb;

// Bytes in use as the threads know it: raised after a reservation, lowered before it goes.
struct Own {
  std::atomic<std::int64_t> host{0}, inner{0}, card{0};
  void change(const std::string& device, hal::Bytes by, int sign) {
    const std::int64_t bytes = sign * static_cast<std::int64_t>(by);
    const bool is_card = device == "card:0";
    check(is_card ? card : host, bytes, is_card ? 8 * gb : 16 * gb);
    if (device == "inner:0") check(inner, bytes, 6 * gb);
  }
  static void check(std::atomic<std::int64_t>& sum, std::int64_t by, hal::Bytes most) {
    const std::int64_t now = sum += by;
    EXPECT_LE(now, static_cast<std::int64_t>(most));
    EXPECT_GE(now, 0);
  }
};

void reserve_and_release(Ledger& ledger, Own& own, unsigned seed, int turns) {
  std::mt19937 random(seed);
  auto below = [&](hal::Bytes n) { return std::uniform_int_distribution<hal::Bytes>(0, n - 1)(random); };
  const std::vector<std::string> devices{"cpu:0", "inner:0", "card:0"};
  std::vector<Reservation> held;
  for (int i = 0; i < turns; ++i) {
    const hal::Bytes bytes = below(3 * gb), what = below(4);
    if (what < 2) {
      auto made = ledger.reserve(devices[below(3)], bytes, {"thread " + std::to_string(seed), all_uses[below(5)]});
      if (!made) continue;
      own.change(made->device(), bytes, 1);
      held.push_back(std::move(*made));
    } else if (!held.empty()) {
      Reservation& one = held[below(held.size())];
      if (what == 2) {
        if (one.grow(bytes)) own.change(one.device(), bytes, 1);
      } else {
        own.change(one.device(), one.bytes(), -1);
        std::swap(one, held.back());
        held.pop_back();
      }
    }
  }
  for (const Reservation& one : held) own.change(one.device(), one.bytes(), -1);
}

TEST(LedgerThreads, NeverAboveTheLimitsAndExactAtTheEnd) {
  const auto ledger = Ledger::make(test::small_machine());
  Own own;
  std::atomic<bool> done = false;
  std::thread looks([&] {
    while (!done)
      for (const LedgerRow& row : ledger->snapshot()) {
        hal::Bytes sum = 0;
        for (const auto& held : row.held) sum += held.bytes;
        EXPECT_EQ(sum, row.reserved) << row.name;
        EXPECT_LE(row.reserved, row.limit) << row.name;
      }
  });
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) threads.emplace_back([&, t] { reserve_and_release(*ledger, own, t, 5000); });
  for (auto& thread : threads) thread.join();
  done = true;
  looks.join();
  EXPECT_EQ(own.host + own.card + own.inner, 0);
  for (const LedgerRow& row : ledger->snapshot()) {
    EXPECT_EQ(row.reserved, 0u) << row.name;
    EXPECT_TRUE(row.held.empty()) << row.name;
  }
}

// Budgets go up and down, owners give back what they are asked for, come and go, and grow again.
TEST(LedgerThreads, ReliefWhileOthersReserve) {
  LedgerOptions options;
  options.patience = options.settle = options.calm = std::chrono::nanoseconds(0);
  std::atomic<int> told = 0;
  options.on_action = [&](const LedgerAction&) { ++told; };
  const auto ledger = Ledger::make(test::small_machine(), options);
  std::mt19937 random(1);
  std::atomic<int> reading = 0;
  ASSERT_TRUE(ledger->watch_pool("host", [&] {
    EXPECT_EQ(reading++, 0) << "one poll at a time";
    std::this_thread::sleep_for(std::chrono::microseconds(10));
    --reading;
    return Reading{std::uniform_int_distribution<hal::Bytes>(2 * gb, 16 * gb)(random), 0};
  }));
  std::atomic<bool> done = false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const Holder self{"owner " + std::to_string(t), Use::prefix_cache};
      for (int life = 0; life < 10 || (told < 20 && std::chrono::steady_clock::now() < end); ++life) {
        std::mutex mutex;
        Reservation cache = ledger->reserve("cpu:0", 0, self).value();
        const auto relief = ledger->add_relief(
            {t == 2 ? ReliefOrder::shrink : ReliefOrder::drop_caches, "cpu:0", self.owner, [&](hal::Bytes wanted) {
               std::lock_guard lock(mutex);
               const hal::Bytes before = cache.bytes();
               cache.shrink(wanted);
               return before - cache.bytes();
             }});
        for (int i = 0; i < 100; ++i) {
          {
            std::lock_guard lock(mutex);
            (void)cache.grow(gb / 4);
          }
          if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
      }
    });
  std::vector<std::thread> polls;
  for (int p = 0; p < 2; ++p)
    polls.emplace_back([&] {
      while (!done) {
        ledger->poll();
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    });
  for (auto& thread : threads) thread.join();
  done = true;
  for (auto& thread : polls) thread.join();
  EXPECT_GE(told, 20);
  for (const LedgerRow& row : ledger->snapshot()) EXPECT_EQ(row.reserved, 0u) << row.name;
}

// Sessions that are admitted only when others end, with nothing but the wake to tell it: one lost and it hangs.
TEST(LedgerThreads, EveryReleaseWakesTheQueue) {
  const auto ledger = Ledger::make(test::small_machine());
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = false;
  AdmissionOptions options;
  options.longest_queue = 1000;
  options.wake = [&] {
    std::lock_guard lock(mutex);
    woken = true;
    changed.notify_one();
  };
  Admission admission(ledger, options);
  constexpr int sessions = 400;
  std::atomic<int> ended = 0;
  std::vector<std::vector<Reservation>> ending;  // by the thread below
  std::mutex of_ending;
  std::condition_variable more;
  auto end_later = [&](std::vector<Reservation> held) {
    std::lock_guard lock(of_ending);
    ending.push_back(std::move(held));
    more.notify_one();
  };
  std::vector<std::thread> threads;
  for (int e = 0; e < 2; ++e)
    threads.emplace_back([&] {
      while (true) {
        std::vector<Reservation> held;
        {
          std::unique_lock lock(of_ending);
          more.wait(lock, [&] { return !ending.empty() || ended >= sessions; });
          if (ending.empty()) return;
          held = std::move(ending.back());
          ending.pop_back();
        }
        held.clear();
        if (++ended >= sessions) more.notify_all();
      }
    });
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < sessions / 2; ++i) {
        const auto bytes = static_cast<hal::Bytes>(1 + (i + t) % 8) * gb;
        AdmissionRequest request{std::to_string(i), i % 3, {}};
        request.ways.push_back({Route::own_device, "card:0", [&, bytes]() -> hal::Result<std::vector<Reservation>> {
                                  std::vector<Reservation> held;
                                  for (const hal::Bytes part : {bytes / 2, bytes - bytes / 2}) {
                                    HAL_TRY(held.emplace_back(), ledger->reserve("card:0", part, {"a", Use::kv}));
                                  }
                                  return held;
                                }});
        Decision decision = admission.admit(std::move(request));
        if (decision.route == Route::own_device)
          end_later(std::move(decision.held));
        else
          EXPECT_EQ(decision.route, Route::queued) << decision.reason;
      }
    });
  threads.emplace_back([&] {
    while (ended < sessions) {
      for (Decision& decision : admission.poll()) {
        EXPECT_EQ(decision.route, Route::own_device) << decision.reason;
        end_later(std::move(decision.held));
      }
      std::unique_lock lock(mutex);
      if (!changed.wait_for(lock, std::chrono::seconds(20), [&] { return woken || ended >= sessions; })) {
        if (ended < sessions)
          ADD_FAILURE() << "nobody was woken; " << admission.waiting() << " wait, " << ended << " ended";
        return;
      }
      woken = false;
    }
  });
  // The last poll may wait for a wake that does not come any more.
  while (ended < sessions && !testing::Test::HasFailure()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  options.wake();
  {
    std::lock_guard lock(of_ending);
    if (testing::Test::HasFailure()) ended = sessions;
    more.notify_all();
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(admission.waiting(), 0u);
  for (const LedgerRow& row : ledger->snapshot()) EXPECT_EQ(row.reserved, 0u) << row.name;
}

}  // namespace
}  // namespace switchyard
