#include "hal/shared/host_timeline.h"

namespace switchyard::hal {

std::uint64_t HostTimeline::value() const {
  std::lock_guard lock(mutex_);
  return value_;
}

Status HostTimeline::signal(std::uint64_t value) {
  {
    std::lock_guard lock(mutex_);
    if (failure_) return *failure_;
    if (value <= value_)
      return Error{Code::invalid_argument, "timeline: signal " + std::to_string(value) +
                                               " is not above the present value " + std::to_string(value_)};
    value_ = value;
  }
  changed_.notify_all();
  return ok();
}

void HostTimeline::fail(Error error) {
  {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(error);
  }
  changed_.notify_all();
}

Status HostTimeline::wait(std::uint64_t value, std::chrono::nanoseconds timeout) const {
  std::unique_lock lock(mutex_);
  auto reached = [&] { return value_ >= value || failure_.has_value(); };
  if (timeout == std::chrono::nanoseconds::max()) {
    changed_.wait(lock, reached);
  } else if (!changed_.wait_for(lock, timeout, reached)) {
    return Error{Code::timed_out, "timeline: value " + std::to_string(value_) + " after the timeout, waited for " +
                                      std::to_string(value)};
  }
  if (value_ >= value) return ok();
  return *failure_;
}

}  // namespace switchyard::hal
