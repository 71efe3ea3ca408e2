// Logical clocks of several simulated devices: a submission begins when its device is free and what it waited for
// ended.
#include "tests/support/devices.h"

namespace switchyard {
namespace {

using namespace hal;
using std::chrono::nanoseconds;

// A device that can be given work of a known time: a fill of n bytes takes n / memory_gb_s nanoseconds.
struct Worker {
  explicit Worker(const std::string& name)
      : device(test::open_device("sim:" + name, {"tests/data/sim/kernel.json", "tests/data/sim/slow.json"})),
        queue(*device->create_queue(QueueKind::any)),
        timeline(*device->create_timeline(0)),
        buffer(*device->allocate({4'000'000})) {}

  Point work(Bytes bytes, std::vector<Point> wait = {}) { return send({Fill{{buffer, 0, bytes}, 7}}, std::move(wait)); }
  Point copy_from(const Worker& other, Bytes bytes, std::vector<Point> wait) {
    return send({Copy{{other.buffer, 0, bytes}, {buffer, 0, bytes}}}, std::move(wait));
  }
  Point send(std::vector<Command> commands, std::vector<Point> wait) {
    times.push_back(std::make_shared<Timing>());
    EXPECT_TRUE(queue->submit({std::move(wait), std::move(commands), {{timeline, ++sent}}, times.back()}));
    return {timeline, sent};
  }
  // Begin and end of each submission, in nanoseconds.
  std::vector<std::pair<std::int64_t, std::int64_t>> spans() {
    EXPECT_TRUE(timeline->wait(sent, nanoseconds::max()));
    std::vector<std::pair<std::int64_t, std::int64_t>> all;
    for (const auto& t : times) all.emplace_back(t->begin.count(), t->end.count());
    return all;
  }

  DeviceRef device;
  std::shared_ptr<Queue> queue;
  TimelineRef timeline;
  BufferRef buffer;
  std::uint64_t sent = 0;
  std::vector<std::shared_ptr<Timing>> times;
};

using Spans = std::vector<std::pair<std::int64_t, std::int64_t>>;

TEST(SimClock, AChainOverTwoDevicesHasOneTime) {
  Worker a("kernel"), b("slow");                 // memory 200 and 10 GB/s, link 12 and 1 GB/s
  Point first = a.work(2'000'000);               // 0 .. 10000
  Point second = a.work(200'000);                // 10000 .. 11000
  Point there = b.copy_from(a, 4'000, {first});  // 10000 .. 14000
  Point later = b.work(10'000, {second});        // 14000 .. 15000: b is busy for longer than a
  a.copy_from(b, 12'000, {there});               // 14000 .. 15000: only what it waits for counts
  a.work(200'000, {first, later});               // 15000 .. 16000
  EXPECT_EQ(a.spans(), (Spans{{0, 10000}, {10000, 11000}, {14000, 15000}, {15000, 16000}}));
  EXPECT_EQ(b.spans(), (Spans{{10000, 14000}, {14000, 15000}}));
}

TEST(SimClock, AWaitCountsFromItsValueNotFromLaterOnes) {
  Worker a("kernel"), b("slow");
  Point first = a.work(200'000);  // .. 1000
  for (int i = 0; i < 20; ++i) a.work(200'000);
  a.spans();
  b.work(10'000, {first});
  EXPECT_EQ(b.spans(), (Spans{{1000, 2000}}));
}

TEST(SimClock, WhatHasNoSimulatedTimeIsThereAtOnce) {
  Worker a("kernel");
  auto cpu = test::open_device("cpu:0");
  TimelineRef of_cpu = *cpu->create_timeline(5), of_host = *a.device->create_timeline(0);
  ASSERT_TRUE(of_host->signal(3));
  a.work(200'000, {{of_cpu, 5}, {of_host, 2}});
  EXPECT_EQ(a.spans(), (Spans{{0, 1000}}));
}

}  // namespace
}  // namespace switchyard
