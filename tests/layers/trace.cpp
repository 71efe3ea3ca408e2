// hal/layers/trace.h: what ran is in the file, in the order and on the device it ran.
#include "hal/layers/trace.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "backends/all.h"
#include "hal/layers/validate.h"
#include "kernels/harness.h"
#include "kernels/library.h"
#include "tests/support/folder.h"

namespace switchyard::hal {
namespace {

const kernels::Library library;

DeviceRef open_plain() {
  for (auto& backend : backends::all({}))
    if (auto device = backend->open("cpu:0", {&library, nullptr})) return *device;
  throw std::runtime_error("no cpu:0");
}

struct File {
  test::Folder folder;
  std::string path = folder.file("trace.json");
  nlohmann::json read() const {
    std::ifstream in(path);
    return nlohmann::json::parse(in);
  }
};

std::vector<nlohmann::json> events(const nlohmann::json& file, const std::string& category) {
  std::vector<nlohmann::json> found;
  for (const auto& e : file["traceEvents"])
    if (e["ph"] == "X" && e["cat"] == category) found.push_back(e);
  return found;
}

TEST(Trace, HoldsSubmissionsAndNodes) {
  File file;
  auto trace = Trace::open(file.path);
  DeviceRef device = trace->wrap(validate(open_plain(), nullptr));
  const auto cases = kernels::find_op("gemm")->cases();
  auto data = kernels::make_data(cases.front(), 1);
  data.c.segment.labels = {"layer 3 \"gate\"\n"};
  std::vector<std::vector<double>> reference;
  ASSERT_TRUE(kernels::run_reference(data, reference));
  auto run = kernels::run_on(*device, data, 3);
  ASSERT_TRUE(run) << describe(run.error());
  EXPECT_LT(kernels::compare(data, reference, *run).error, 1e-4) << "tracing must not change what is computed";
  trace->mark("scheduler", "plan", std::chrono::microseconds(5), std::chrono::microseconds(9));
  ASSERT_TRUE(trace->flush());
  const auto json = file.read();
  const auto submissions = events(json, "submission"), nodes = events(json, "node"), host = events(json, "host");
  ASSERT_EQ(submissions.size(), 3u);
  ASSERT_EQ(nodes.size(), 3u);
  ASSERT_EQ(host.size(), 1u);
  EXPECT_EQ(host[0]["dur"], 4.0);
  double last = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const double begin = submissions[i]["ts"], end = begin + double(submissions[i]["dur"]);
    EXPECT_GE(begin, last);
    last = end;
    EXPECT_EQ(nodes[i]["name"], "layer 3 \"gate\"\n");
    EXPECT_GE(double(nodes[i]["ts"]), begin - 0.01);
    EXPECT_LE(double(nodes[i]["ts"]) + double(nodes[i]["dur"]), end + 0.01);
    EXPECT_EQ(nodes[i]["tid"], submissions[i]["tid"]);
  }
  bool named = false;
  for (const auto& e : json["traceEvents"])
    if (e["ph"] == "M" && e["name"] == "process_name" && std::string(e["args"]["name"]).rfind("cpu:0", 0) == 0)
      named = e["pid"] == nodes[0]["pid"];
  EXPECT_TRUE(named);
}

TEST(Trace, TwoDevicesAndThreadsShareOneFile) {
  File file;
  constexpr int times = 200;
  {
    auto trace = Trace::open(file.path);
    DeviceRef devices[2] = {trace->wrap(open_plain()), trace->wrap(open_plain())};
    std::vector<std::thread> threads;
    for (DeviceRef& device : devices)
      threads.emplace_back([&device, &trace] {
        auto queue = *device->create_queue(QueueKind::any);
        TimelineRef t = *device->create_timeline(0);
        BufferRef b = *device->allocate({4096, Memory::device, "b"});
        for (std::uint64_t i = 1; i <= times; ++i) {
          ASSERT_TRUE(queue->submit({{}, {Fill{{b}, static_cast<std::uint32_t>(i)}}, {{t, i}}, nullptr}));
          if (i % 50 == 0) {
            ASSERT_TRUE(trace->flush());
          }
        }
        ASSERT_TRUE(t->wait(times, std::chrono::seconds(60)));
      });
    for (auto& t : threads) t.join();
  }
  const auto json = file.read();  // written at the end
  std::map<int, int> by_process;
  for (const auto& e : events(json, "submission")) ++by_process[int(e["pid"])];
  EXPECT_EQ(by_process.size(), 2u);
  for (const auto& [process, count] : by_process) EXPECT_EQ(count, times) << process;
}

TEST(Trace, FailedSubmissionsAreThereToo) {
  File file;
  auto trace = Trace::open(file.path);
  DeviceRef device = trace->wrap(open_plain());
  auto queue = *device->create_queue(QueueKind::any);
  TimelineRef broken = *device->create_timeline(0), t = *device->create_timeline(0);
  broken->fail({Code::io, "the disk is gone"});
  ASSERT_TRUE(queue->submit({{{broken, 1}}, {}, {}, nullptr}));
  ASSERT_TRUE(queue->submit({{}, {}, {{t, 1}}, nullptr}));
  ASSERT_TRUE(t->wait(1, std::chrono::seconds(60)));
  ASSERT_TRUE(trace->flush());
  const auto failed = events(file.read(), "submission");
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_NE(std::string(failed[0]["name"]).find("the disk is gone"), std::string::npos);
}

TEST(Trace, SaysWhereItCouldNotWrite) {
  auto trace = Trace::open("/no/such/folder/trace.json");
  Status flushed = trace->flush();
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code, Code::io);
  EXPECT_NE(flushed.error().message.find("/no/such/folder/trace.json"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::hal
