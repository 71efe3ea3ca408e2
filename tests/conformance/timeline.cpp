#include <thread>

#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using namespace std::chrono_literals;
using Timeline = Contract;

TEST_P(Timeline, GrowsFromItsInitialValue) {
  TimelineRef t = timeline(5);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->value(), 5u);
  ASSERT_OK(t->wait(5, 0ns));
  ASSERT_OK(t->signal(7));
  EXPECT_EQ(t->value(), 7u);
  ASSERT_OK(t->wait(6, 0ns));
}

TEST_P(Timeline, RefusesToStandStillOrShrink) {
  TimelineRef t = timeline(5);
  ASSERT_TRUE(t);
  EXPECT_CODE(Code::invalid_argument, t->signal(5));
  EXPECT_CODE(Code::invalid_argument, t->signal(4));
  EXPECT_EQ(t->value(), 5u);
  ASSERT_OK(t->signal(6));
}

TEST_P(Timeline, WaitTimesOut) {
  TimelineRef t = timeline();
  ASSERT_TRUE(t);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_CODE(Code::timed_out, t->wait(1, 20ms));
  const auto waited = std::chrono::steady_clock::now() - before;
  EXPECT_GE(waited, 15ms);
  EXPECT_LT(waited, 10s);
}

TEST_P(Timeline, WaitIsWokenByAnotherThread) {
  TimelineRef t = timeline();
  ASSERT_TRUE(t);
  std::thread other([&] {
    std::this_thread::sleep_for(10ms);
    EXPECT_TRUE(t->signal(3));
  });
  ASSERT_OK(t->wait(2, patience));
  EXPECT_EQ(t->value(), 3u);
  other.join();
}

TEST_P(Timeline, FailureIsWhatWaitersGet) {
  TimelineRef t = timeline();
  ASSERT_TRUE(t);
  ASSERT_OK(t->signal(2));
  std::thread other([&] {
    std::this_thread::sleep_for(10ms);
    t->fail({Code::device_lost, "the work behind it failed"});
  });
  Status waited = t->wait(3, patience);
  other.join();
  EXPECT_CODE(Code::device_lost, waited);
  EXPECT_NE(waited.error().message.find("the work behind it failed"), std::string::npos);
  EXPECT_CODE(Code::device_lost, t->wait(9, 0ns));
  ASSERT_OK(t->wait(2, 0ns));  // what was reached before stays reached
}

ON_EVERY_DEVICE(Timeline);

}  // namespace
}  // namespace switchyard::test
