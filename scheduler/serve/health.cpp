#include "scheduler/serve/health.h"

#include <algorithm>

namespace switchyard::scheduler {

const char* to_string(Failure failure) {
  switch (failure) {
    case Failure::lost: return "lost";
    case Failure::hung: return "hung";
    case Failure::wrong_numbers: return "wrong_numbers";
  }
  return "?";
}

const char* to_string(HealthState state) {
  switch (state) {
    case HealthState::ok: return "ok";
    case HealthState::probation: return "probation";
    case HealthState::quarantined: return "quarantined";
  }
  return "?";
}

std::optional<Failure> failure_of(const hal::Error& error) {
  if (error.code == hal::Code::device_lost) return Failure::lost;
  if (error.code == hal::Code::timed_out) return Failure::hung;
  return std::nullopt;
}

HealthState Health::state_of(const DeviceHealth& d, std::chrono::nanoseconds now) const {
  if (d.state == HealthState::quarantined && now >= d.until) return HealthState::probation;
  return d.state;
}

bool Health::may_use(const std::string& device) const {
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(device);
  return found == devices_.end() || state_of(found->second, options_.now()) != HealthState::quarantined;
}

bool Health::report_failure(const std::string& device, Failure failure, const std::string& text) {
  std::lock_guard lock(mutex_);
  const auto now = options_.now();
  DeviceHealth& d = devices_[device];
  d.device = device;
  ++d.failures;
  if (state_of(d, now) == HealthState::quarantined) return false;
  using Nanoseconds = std::chrono::duration<double, std::nano>;
  const Nanoseconds next = d.length.count() ? Nanoseconds(d.length) * options_.factor : Nanoseconds(options_.first);
  d.length = std::chrono::duration_cast<std::chrono::nanoseconds>(std::min(next, Nanoseconds(options_.most)));
  d.state = HealthState::quarantined;
  d.failure = failure;
  d.text = text;
  d.failed_at = now;
  d.until = now + d.length;
  ++d.quarantines;
  return true;
}

void Health::report_success(const std::string& device) {
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(device);
  if (found == devices_.end()) return;
  DeviceHealth& d = found->second;
  const auto now = options_.now();
  if (state_of(d, now) != HealthState::probation || now < d.until + options_.probation) return;
  d.state = HealthState::ok;
  d.length = {};
}

std::vector<DeviceHealth> Health::list() const {
  std::lock_guard lock(mutex_);
  std::vector<DeviceHealth> list;
  for (const auto& [device, health] : devices_) {
    list.push_back(health);
    list.back().state = state_of(health, options_.now());
  }
  return list;
}

}  // namespace switchyard::scheduler
