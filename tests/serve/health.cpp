#include "scheduler/serve/health.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "scheduler/serve/canary.h"
#include "scheduler/serve/watchdog.h"
#include "tests/serve/small_machine.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"

namespace switchyard {
namespace {

using namespace scheduler;
using std::chrono::milliseconds;

Health health_at(const test::FakeClock& clock) {
  HealthOptions options;
  options.now = clock.now();
  return Health(options);
}

TEST(Health, EachQuarantineIsTwiceAsLongUpToFiveMinutes) {
  test::FakeClock clock;
  Health health = health_at(clock);
  EXPECT_TRUE(health.may_use("a"));
  for (const double seconds : {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}) {
    EXPECT_TRUE(health.report_failure("a", Failure::lost, "reset"));
    EXPECT_FALSE(health.may_use("a"));
    EXPECT_TRUE(health.may_use("b"));
    clock.pass(seconds - 0.001);
    EXPECT_FALSE(health.may_use("a")) << seconds;
    clock.pass(0.001);
    EXPECT_TRUE(health.may_use("a")) << seconds;
  }
}

TEST(Health, WhatFailsDuringAQuarantineMakesItNoLonger) {
  test::FakeClock clock;
  Health health = health_at(clock);
  EXPECT_TRUE(health.report_failure("a", Failure::lost, "reset"));
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(health.report_failure("a", Failure::hung, "the same step of another session"));
  clock.pass(1);
  EXPECT_TRUE(health.may_use("a"));
  const auto list = health.list();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].state, HealthState::probation);
  EXPECT_EQ(list[0].failure, Failure::lost);
  EXPECT_EQ(list[0].text, "reset");
  EXPECT_EQ(list[0].failures, 11u);
  EXPECT_EQ(list[0].quarantines, 1u);
  EXPECT_EQ(list[0].failed_at, milliseconds(0));
  EXPECT_EQ(list[0].until, milliseconds(1000));
}

TEST(Health, SuccessAfterAProbationResets) {
  test::FakeClock clock;
  Health health = health_at(clock);
  health.report_failure("a", Failure::lost, "first");
  health.report_success("a");  // of a step that was under way
  EXPECT_FALSE(health.may_use("a"));
  clock.pass(1);
  health.report_failure("a", Failure::lost, "second");
  clock.pass(2);
  health.report_success("a");
  EXPECT_EQ(health.list()[0].state, HealthState::probation) << "too early";
  clock.pass(30);
  EXPECT_EQ(health.list()[0].state, HealthState::probation) << "without a success";
  health.report_success("a");
  EXPECT_EQ(health.list()[0].state, HealthState::ok);
  EXPECT_EQ(health.list()[0].quarantines, 2u);
  health.report_failure("a", Failure::wrong_numbers, "third");
  clock.pass(0.9);
  EXPECT_FALSE(health.may_use("a"));
  clock.pass(0.1);
  EXPECT_TRUE(health.may_use("a")) << "the first length again";
}

TEST(Health, FailuresDuringProbationCountOn) {
  test::FakeClock clock;
  Health health = health_at(clock);
  health.report_failure("a", Failure::lost, "");
  clock.pass(30);
  health.report_failure("a", Failure::lost, "");
  EXPECT_EQ(health.list()[0].length, milliseconds(2000));
}

TEST(Health, SuccessOfAnUnknownDeviceIsNothing) {
  Health health;
  health.report_success("a");
  EXPECT_TRUE(health.list().empty());
}

TEST(Health, SomeErrorsAreTheDevices) {
  EXPECT_EQ(failure_of({hal::Code::device_lost, ""}), Failure::lost);
  EXPECT_EQ(failure_of({hal::Code::timed_out, ""}), Failure::hung);
  EXPECT_EQ(failure_of({hal::Code::invalid_argument, ""}), std::nullopt);
  EXPECT_EQ(failure_of({hal::Code::out_of_memory, ""}), std::nullopt);
}

struct Dog {
  test::FakeClock clock;
  std::vector<LateStep> late;
  Watchdog watchdog;
  Dog() : watchdog(options()) {}
  WatchdogOptions options() {
    WatchdogOptions o;
    o.now = clock.now();
    o.on_late = [this](const LateStep& step) { late.push_back(step); };
    return o;
  }
};

TEST(HealthWatchdog, AllowsTenTimesThePredictionAndNeverLessThanTheFloor) {
  const Dog dog;
  EXPECT_EQ(dog.watchdog.allowed(0.1), milliseconds(5000));
  EXPECT_EQ(dog.watchdog.allowed(0.5), milliseconds(5000));
  EXPECT_EQ(dog.watchdog.allowed(2), milliseconds(20000));
  EXPECT_EQ(dog.watchdog.allowed(61), std::chrono::minutes(10));
  EXPECT_EQ(dog.watchdog.allowed(-1), milliseconds(5000));
  EXPECT_EQ(dog.watchdog.allowed(std::nan("")), milliseconds(5000));
  EXPECT_EQ(dog.watchdog.allowed(std::numeric_limits<double>::infinity()), std::chrono::minutes(10));
}

TEST(HealthWatchdog, TellsOnceOfAStepThatIsLate) {
  Dog dog;
  auto slow = dog.watchdog.begin("card:0", "step 7", 1);
  auto quick = dog.watchdog.begin("cpu:0", "step 8", 1);
  dog.clock.pass(10);
  dog.watchdog.poll();
  EXPECT_TRUE(dog.late.empty()) << "just in time";
  quick.end();
  quick.end();
  dog.clock.pass(0.1);
  dog.watchdog.poll();
  dog.watchdog.poll();
  ASSERT_EQ(dog.late.size(), 1u);
  EXPECT_EQ(dog.late[0].device, "card:0");
  EXPECT_EQ(dog.late[0].what, "step 7");
  EXPECT_EQ(dog.late[0].predicted_seconds, 1);
  EXPECT_EQ(dog.late[0].allowed, milliseconds(10000));
  EXPECT_EQ(dog.late[0].taken, milliseconds(10100));
  EXPECT_TRUE(slow.late());
  EXPECT_FALSE(quick.late());
}

TEST(HealthWatchdog, AWatchEndsWhenItDiesOrIsReplaced) {
  Dog dog;
  {
    auto first = dog.watchdog.begin("cpu:0", "first", 0);
    auto second = dog.watchdog.begin("cpu:0", "second", 0);
    second = std::move(first);
    Watchdog::Watch third = std::move(second);
    dog.clock.pass(6);
    dog.watchdog.poll();
    ASSERT_EQ(dog.late.size(), 1u);
    EXPECT_EQ(dog.late[0].what, "first");
    EXPECT_TRUE(third.late());
  }
  { auto fourth = dog.watchdog.begin("cpu:0", "fourth", 0); }
  dog.clock.pass(6);
  dog.watchdog.poll();
  EXPECT_EQ(dog.late.size(), 1u);
}

TEST(HealthWatchdog, ManyThreads) {
  std::atomic<int> late = 0;
  WatchdogOptions options;
  options.floor = std::chrono::nanoseconds(0);
  options.on_late = [&](const LateStep&) { ++late; };
  Watchdog watchdog(options);
  std::atomic<int> hung = 0;
  {
    Ticker ticker(std::chrono::microseconds(100), [&] { watchdog.poll(); });
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) {
          auto watch = watchdog.begin("cpu:0", "step", 0);
          if (i % 100) continue;
          while (!watch.late()) std::this_thread::yield();
          ++hung;
        }
      });
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(hung, 20);
  EXPECT_GE(late, 20);
  EXPECT_LE(late, 2000);
}

TEST(HealthWatchdog, ATickerStopsAtOnce) {
  std::atomic<int> ticks = 0;
  {
    Ticker ticker(std::chrono::hours(1), [&] { ++ticks; });
  }
  EXPECT_EQ(ticks, 0);
}

TEST(HealthCanary, DueAfterOpeningStepsTimeAndAMismatch) {
  test::FakeClock clock;
  CanaryOptions options;
  options.now = clock.now();
  options.every_steps = 1000;
  CanarySchedule schedule(options);
  schedule.stepped("a");
  schedule.mismatch("a", "x");
  EXPECT_EQ(schedule.due("a"), std::nullopt) << "not open";
  schedule.opened("a");
  EXPECT_EQ(schedule.due("a"), "opened");
  schedule.checked("a");
  EXPECT_EQ(schedule.due("a"), std::nullopt);
  schedule.stepped("a", 999);
  EXPECT_EQ(schedule.due("a"), std::nullopt);
  schedule.stepped("a");
  EXPECT_EQ(schedule.due("a"), "1000 steps since the last");
  schedule.checked("a");
  clock.pass(3600);
  EXPECT_EQ(schedule.due("a"), std::nullopt) << "it did nothing";
  schedule.stepped("a");
  EXPECT_EQ(schedule.due("a"), "3600 s since the last");
  schedule.checked("a");
  schedule.mismatch("a", "token 17 of session 3 came out differently");
  EXPECT_EQ(schedule.due("a"), "token 17 of session 3 came out differently");
  schedule.closed("a");
  EXPECT_EQ(schedule.due("a"), std::nullopt);
}

TEST(HealthCanary, EveryDeviceFoundIsRight) {
  int checked = 0;
  for (const std::string& id : test::found_devices()) {
    const auto device = test::open_device(id);
    const auto result = canary(*device);
    if (!result && result.error().code == hal::Code::unsupported) continue;
    ASSERT_TRUE(result) << id << ": " << hal::describe(result.error());
    EXPECT_TRUE(result->right()) << id << " " << to_string(*result);
    ++checked;
  }
  EXPECT_GE(checked, 1);
}

TEST(HealthCanary, SoAreSimulatedOnesOfEveryForm) {
  for (const std::string name : {"kernel", "graph", "graph_f16"}) {
    const auto device = test::open_device("sim:" + name, {"tests/data/sim/" + name + ".json"});
    const auto result = canary(*device);
    ASSERT_TRUE(result) << name << ": " << hal::describe(result.error());
    EXPECT_TRUE(result->right()) << name << " " << to_string(*result);
  }
}

TEST(HealthCanary, FindsADeviceWithWrongNumbers) {
  const auto device = test::open_device("sim:wrong", {"tests/data/sim/wrong.json"});
  const auto result = canary(*device);
  ASSERT_TRUE(result) << hal::describe(result.error());
  EXPECT_FALSE(result->right()) << to_string(*result);
  EXPECT_EQ(to_string(*result).rfind("wrong: relative error ", 0), 0u);
  EXPECT_FALSE((CanaryResult{std::nan(""), 1}).right());
}

TEST(HealthCanary, SaysWhatADeviceFailsWith) {
  auto sim = [](const std::string& name, const std::string& more) {
    const test::Folder folder;
    const std::string file = folder.file(name + ".json");
    std::ofstream(file) << R"({"name": ")" << name << R"(", "formats": ["call"], )" << more << "}";
    return test::open_device("sim:" + name, {file});
  };
  const auto declined = canary(*sim("gemm_only", R"("only_ops": ["gemm"])"));
  ASSERT_FALSE(declined);
  EXPECT_EQ(declined.error().code, hal::Code::unsupported);
  const auto lost = canary(*sim("breaks", R"("faults": {"submission": 1, "submission_code": "device_lost"})"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(failure_of(lost.error()), Failure::lost) << hal::describe(lost.error());
}

}  // namespace
}  // namespace switchyard
