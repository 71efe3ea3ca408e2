// Health: which devices may be used now. A device that failed is left alone for a while, longer each time; then it is
// on probation: used again, and after some time of success as good as new.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hal/result.h"
#include "scheduler/serve/now.h"

namespace switchyard::scheduler {

enum class Failure : std::uint8_t { lost, hung, wrong_numbers };
const char* to_string(Failure failure);
// device_lost: lost; timed_out: hung. None: an error that says nothing about the device.
std::optional<Failure> failure_of(const hal::Error& error);

enum class HealthState : std::uint8_t { ok, probation, quarantined };
const char* to_string(HealthState state);

struct HealthOptions {
  Now now = steady_now;
  std::chrono::nanoseconds first = std::chrono::seconds(1), most = std::chrono::minutes(5);  // of quarantine
  double factor = 2;                                                                         // of each next one
  std::chrono::nanoseconds probation = std::chrono::seconds(30);
};

struct DeviceHealth {
  std::string device;
  HealthState state = HealthState::ok;
  Failure failure = Failure::lost;                // the last one, if there was any
  std::string text;                               // its
  std::chrono::nanoseconds failed_at{}, until{};  // until: of the last quarantine
  std::chrono::nanoseconds length{};              // of the last quarantine; 0: the next is the first again
  std::uint64_t failures = 0, quarantines = 0;    // failures: also those during a quarantine
};

// Any thread.
class Health {
 public:
  explicit Health(HealthOptions options = {}) : options_(std::move(options)) {}

  bool may_use(const std::string& device) const;  // not quarantined; true of a device never heard of
  // Quarantines it. What fails while it is quarantined (steps that were under way) makes that no longer. True: it was
  // in use until now.
  bool report_failure(const std::string& device, Failure failure, const std::string& text);
  // A step or a check went well. Those that end during a quarantine count for nothing.
  void report_success(const std::string& device);
  // Devices that have failed since they were last as good as new, or ever: for display.
  std::vector<DeviceHealth> list() const;

 private:
  HealthState state_of(const DeviceHealth& d, std::chrono::nanoseconds now) const;

  HealthOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, DeviceHealth> devices_;  // state: as last set; a quarantine ends by itself
};

}  // namespace switchyard::scheduler
