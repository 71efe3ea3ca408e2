// Canary: does a device still compute what it should? When to ask (pure logic), and a question with a known answer.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "hal/device.h"
#include "scheduler/serve/now.h"

namespace switchyard::scheduler {

struct CanaryOptions {
  Now now = steady_now;
  // After opening; then after so many steps or so long, whichever is first, but only of a device in use; 0: never.
  std::uint64_t every_steps = 10'000;
  std::chrono::nanoseconds every = std::chrono::minutes(10);
};

// Any thread.
class CanarySchedule {
 public:
  explicit CanarySchedule(CanaryOptions options = {}) : options_(std::move(options)) {}

  void opened(const std::string& device);  // also again, after a quarantine
  void closed(const std::string& device);
  void stepped(const std::string& device, std::uint64_t steps = 1);
  void mismatch(const std::string& device, const std::string& what);  // a replay did not give what was given before
  // Why its check should run now; none: it should not. Devices that are not open are never due.
  std::optional<std::string> due(const std::string& device) const;
  void checked(const std::string& device);  // it ran, whatever came out

 private:
  struct State {
    std::string asked;  // opened, or a mismatch; empty: neither
    std::uint64_t steps = 0;
    std::chrono::nanoseconds checked_at{};
  };
  CanaryOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, State> devices_;
};

// How far a device was from the answer; as kernels::compare.
struct CanaryResult {
  double error = 0, tolerance = 0;
  bool right() const { return error <= tolerance; }  // false of NaN
};
std::string to_string(const CanaryResult& result);

// A norm and a matrix product (f32, 8 x 256 by 256 x 64) of fixed numbers on the device, against the double-precision
// reference. Less than a megabyte; compiled and thrown away each time. unsupported: it takes no such segment; whatever
// else the device fails with. It waits up to five minutes for a device that hangs: let a Watchdog watch it.
hal::Result<CanaryResult> canary(hal::Device& device);

}  // namespace switchyard::scheduler
