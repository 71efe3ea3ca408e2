// A host process that crashes, ends, hangs, is stopped or is no host at all: what the application sees of it.
#include <signal.h>

#include <thread>

#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "tests/remote/rig.h"

namespace switchyard::test {
namespace {

kernels::CaseData small_gemm() {
  for (const kernels::Case& c : kernels::find_op("gemm@1")->cases())
    if (c.tested) return kernels::make_data(c, 5);
  throw std::runtime_error("no case");
}

// One of each; gives the first error.
Status use(Device& device) {
  HAL_TRY(BufferRef a, device.allocate({4096, Memory::device, "a"}));
  HAL_CHECK(run(device, {Fill{{a}, 7}}));
  std::vector<std::byte> bytes(4096);
  HAL_CHECK(a->read(0, bytes));
  EXPECT_EQ(bytes[0], std::byte{7});
  const auto data = small_gemm();
  HAL_TRY(ProgramRef program, device.compile(data.c.segment, {}));
  return ok();
}

struct AtEach : Remote, testing::WithParamInterface<const char*> {};
TEST_P(AtEach, IsDeviceLostAndTheNextProcessIsWell) {
  const std::string fault = GetParam(), what = fault.substr(fault.find(':') + 1);
  auto faulty = backend("cpu", {fault + ":1", what == "hang" ? 400ms : 30000ms});
  DeviceRef device = open(*faulty);
  auto buffer = device->heaps();
  ASSERT_TRUE(buffer);
  const auto begin = std::chrono::steady_clock::now();
  const char* how = what == "crash" ? "signal 11" : what == "exit" ? "code 3" : "ping";
  Status used = use(*device);
  expect_lost(used, how);
  EXPECT_NE(used.error().message.find("cpu"), std::string::npos) << used.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  // And from now on, everything.
  expect_lost(device->heaps(), how);
  expect_lost(device->allocate({16, Memory::device, ""}), how);
  expect_lost(device->allocate({16, Memory::upload, ""}), how);
  expect_lost(device->create_timeline(0), how);
  expect_lost(device->create_queue(QueueKind::any), how);
  const auto data = small_gemm();
  expect_lost(device->compile(data.c.segment, {}), how);
  EXPECT_TRUE(device->claim(data.c.segment).whole()) << "a claim has no errors; compile has";
  // The backend starts another process, which has the same fault still before it.
  DeviceRef next = open(*faulty);
  EXPECT_TRUE(next->heaps());
  EXPECT_NE(remote::process_of(*next), remote::process_of(*device));
}
// One that hangs in compile is ended by the caller alone: KillFreesWhoeverWaits.
INSTANTIATE_TEST_SUITE_P(Faults, AtEach,
                         testing::Values("submission:crash", "submission:exit", "submission:hang", "allocation:crash",
                                         "allocation:exit", "allocation:hang", "compile:crash", "compile:exit",
                                         "readback:crash", "readback:exit", "readback:hang"),
                         [](const auto& i) {
                           std::string text = i.param;
                           text[text.find(':')] = '_';
                           return text;
                         });

TEST_F(Remote, WithoutAFaultAllIsWell) {
  auto b = backend("cpu");
  EXPECT_TRUE(use(*open(*b)));
}

TEST_F(Remote, KillFreesWhoeverWaits) {
  for (const char* at : {"submission:hang:2", "compile:hang:1"}) {
    SCOPED_TRACE(at);
    auto b = backend("cpu", {at, 1h});
    DeviceRef device = open(*b);
    auto queue = device->create_queue(QueueKind::any);
    auto t = device->create_timeline(0), never = device->create_timeline(0);
    auto a = device->allocate({4096, Memory::device, "a"});
    ASSERT_TRUE(queue && t && never && a);
    ASSERT_TRUE((*queue)->submit({{}, {Fill{{*a}, 1}}, {{*t, 1}}, nullptr}));
    ASSERT_TRUE((*t)->wait(1, patience));
    ASSERT_TRUE((*queue)->submit({{}, {Fill{{*a}, 2}}, {{*t, 2}}, nullptr}));
    std::vector<Status> ended(4, ok());
    const auto data = small_gemm();
    std::vector<std::thread> waiters;
    waiters.emplace_back([&] { ended[0] = (*never)->wait(5, patience); });
    waiters.emplace_back([&] {
      auto made = device->compile(data.c.segment, {});
      ended[1] = made ? (*never)->wait(5, patience) : Status(made.error());
    });
    waiters.emplace_back([&] { ended[2] = (*t)->wait(3, patience); });
    waiters.emplace_back([&] {  // a queue of another device that waits for this one
      auto other = open(*backend("cpu", {}, true));
      auto theirs = other->create_queue(QueueKind::any);
      auto done = other->create_timeline(0);
      EXPECT_TRUE((*theirs)->submit({{{*t, 3}}, {}, {{*done, 1}}, nullptr}));
      ended[3] = (*done)->wait(1, patience);
    });
    std::this_thread::sleep_for(100ms);
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(remote::kill(*device));
    for (std::thread& w : waiters) w.join();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    for (const Status& s : ended) expect_lost(s, "asked for it");
    expect_lost((*queue)->submit({{}, {}, {{*t, 9}}, nullptr}));
  }
}

// What waits for another device goes another way; what is behind it must not overtake it.
TEST_F(Remote, ASubmissionStaysBehindOneThatWaitsForAnotherDevice) {
  for (bool killed : {false, true}) {
    SCOPED_TRACE(killed ? "killed" : "left alone");
    auto b = backend("cpu");
    DeviceRef device = open(*b), other = open(*backend("cpu", {}, true));
    auto queue = device->create_queue(QueueKind::any);
    auto t = device->create_timeline(0), theirs = other->create_timeline(0), last = other->create_timeline(0);
    auto a = device->allocate({64, Memory::device, "a"});
    ASSERT_TRUE(queue && t && theirs && last && a);
    ASSERT_TRUE((*queue)->submit({{{*theirs, 1}}, {Fill{{*a}, 1}}, {{*t, 1}}, nullptr}));
    ASSERT_TRUE((*queue)->submit({{}, {Fill{{*a}, 2}}, {{*t, 2}, {*last, 1}}, nullptr}));
    EXPECT_EQ((*t)->wait(1, 50ms).error().code, Code::timed_out);
    if (killed) {
      ASSERT_TRUE(remote::kill(*device));
      expect_lost((*t)->wait(2, patience));  // although it still waits
    }
    ASSERT_TRUE((*theirs)->signal(1));
    if (killed) {
      expect_lost((*last)->wait(1, patience));
      continue;
    }
    ASSERT_TRUE((*last)->wait(1, patience));
    ASSERT_TRUE((*t)->wait(2, patience));
    std::uint32_t word = 0;
    ASSERT_TRUE((*a)->read(0, std::as_writable_bytes(std::span(&word, 1))));
    EXPECT_EQ(word, 2u);
  }
}

TEST_F(Remote, AStoppedProcessIsFoundByAPing) {
  auto b = backend("cpu", {"", 300ms});
  DeviceRef device = open(*b);
  ASSERT_EQ(::kill(remote::process_of(*device), SIGSTOP), 0);
  const auto begin = std::chrono::steady_clock::now();
  expect_lost(device->heaps(), "ping");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST_F(Remote, DiscoverySaysWhatIsWrongWithAHost) {
  unsetenv("SWITCHYARD_BACKEND_HOST");
  auto discovered = [](std::vector<std::string> command, std::chrono::milliseconds limit = 30s) {
    Discovery d = remote::make("cpu", {std::move(command), {}, limit})->discover();
    EXPECT_TRUE(d.devices.empty());
    return d.absent.empty() ? Absence{} : d.absent[0];
  };
  Absence a = discovered({"/bin/true"});
  EXPECT_EQ(a.code, "crashed") << a.detail;
  EXPECT_NE(a.detail.find("code 0"), std::string::npos) << a.detail;
  a = discovered({"/bin/sh", "-c", "kill -6 $$"});
  EXPECT_EQ(a.code, "crashed") << a.detail;
  EXPECT_NE(a.detail.find("signal 6"), std::string::npos) << a.detail;
  a = discovered({"/bin/sh", "-c", "exec sleep 60"}, 200ms);
  EXPECT_EQ(a.code, "timed_out") << a.detail;
  a = discovered({"/bin/sh", "-c", "printf '%0500d' 0 >&3; exec sleep 60"});
  EXPECT_EQ(a.code, "crashed") << a.detail;
  EXPECT_NE(a.detail.find("no message"), std::string::npos) << a.detail;
  a = discovered({"/no/such/program"});
  EXPECT_EQ(a.code, "no_host") << a.detail;
  EXPECT_NE(a.detail.find("/no/such/program"), std::string::npos) << a.detail;
  a = discovered({});
  EXPECT_EQ(a.code, "no_host") << a.detail;
  EXPECT_EQ(a.api, "cpu");
  setenv("SWITCHYARD_BACKEND_HOST", "/no/such/tool", 1);
  a = discovered({});
  EXPECT_NE(a.detail.find("/no/such/tool"), std::string::npos) << a.detail;
  unsetenv("SWITCHYARD_BACKEND_HOST");
}

// An application that is itself killed leaves no host behind.
TEST_F(Remote, AHostEndsWithItsApplication) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t application = fork();
  if (application == 0) {
    auto b = backend("cpu");
    DeviceRef device = open(*b);
    const int host = remote::process_of(*device);
    if (write(pipe[1], &host, sizeof host) == sizeof host) raise(SIGKILL);
    _exit(1);
  }
  int host = 0;
  ASSERT_EQ(read(pipe[0], &host, sizeof host), static_cast<ssize_t>(sizeof host));
  waitpid(application, nullptr, 0);
  close(pipe[0]);
  close(pipe[1]);
  auto running = [&] {  // not so one that nobody has waited for
    std::ifstream status("/proc/" + std::to_string(host) + "/stat");
    std::string number, name, state;
    return status >> number >> name >> state && state != "Z";
  };
  for (int i = 0; i < 1000 && running(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_FALSE(running());
}

}  // namespace
}  // namespace switchyard::test
