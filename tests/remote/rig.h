// Backends in processes of their own, for tests; and what this process holds of the system's.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "backends/all.h"
#include "kernels/library.h"

namespace switchyard::test {

using namespace hal;
using namespace std::chrono_literals;
namespace remote = backends::remote;

constexpr std::chrono::seconds patience{60};

inline const kernels::Library& library() {
  static const kernels::Library l;
  return l;
}

struct Asked {
  std::string fault = {};  // "submission:crash:3"
  std::chrono::milliseconds patience = 30s;
  std::vector<std::string> sims = {};
};

inline BackendRef backend(const std::string& name, const Asked& asked = {}, bool in_process = false) {
  backends::Options options;
  options.sims = asked.sims;
  if (!in_process) options.remote = {name};
  options.host = {{"/proc/self/exe", "backend-host"}, {}, asked.patience};
  if (!asked.fault.empty()) options.host.arguments = {"--fault", asked.fault};
  for (BackendRef& b : backends::all(options))
    if (b->name() == name) return b;
  throw std::runtime_error("no backend " + name);
}

inline DeviceRef open(Backend& b, const std::string& id = "cpu:0") {
  auto device = b.open(id, {&library(), nullptr});
  if (!device) throw std::runtime_error(describe(device.error()));
  return *device;
}

template <class T>
void expect_lost(const Result<T>& result, const std::string& text = "host process") {
  ASSERT_FALSE(result) << "it succeeded";
  EXPECT_EQ(result.error().code, Code::device_lost) << describe(result.error());
  EXPECT_NE(result.error().message.find(text), std::string::npos) << result.error().message;
}

inline std::size_t open_files() {
  std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}
inline std::size_t shared_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t n = 0;
  for (std::string line; std::getline(maps, line);) n += line.find("memfd:switchyard") != std::string::npos;
  return n;
}

// Nothing is left behind at the end of a test: no file, no shared memory, no process, dead or alive.
class Remote : public testing::Test {
 protected:
  void SetUp() override { files_ = open_files(); }
  void TearDown() override {
    EXPECT_EQ(open_files(), files_);
    EXPECT_EQ(shared_mappings(), 0u);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a host process is left";
  }

 private:
  std::size_t files_ = 0;
};

inline Status run(Device& device, std::vector<Command> commands) {
  HAL_TRY(auto queue, device.create_queue(QueueKind::any));
  HAL_TRY(TimelineRef t, device.create_timeline(0));
  HAL_CHECK(queue->submit({{}, std::move(commands), {{t, 1}}, nullptr}));
  return t->wait(1, patience);
}

}  // namespace switchyard::test
