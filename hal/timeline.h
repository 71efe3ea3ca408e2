// Timeline: a counter that only grows. Its failure is the failure of the work behind it.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>

#include "hal/result.h"

namespace switchyard::hal {

// Any thread.
struct Timeline {
  virtual ~Timeline() = default;
  virtual std::uint64_t value() const = 0;
  // From the host. The value must be greater than the present one, else invalid_argument.
  virtual Status signal(std::uint64_t value) = 0;
  // The work behind this timeline failed: every wait for a value not yet reached returns this error from now on.
  virtual void fail(Error error) = 0;
  // Returns once value() >= value; timed_out after the timeout; or the error of the failed work.
  virtual Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const = 0;
};

using TimelineRef = std::shared_ptr<Timeline>;

struct Point {
  TimelineRef timeline;
  std::uint64_t value = 0;
};

}  // namespace switchyard::hal
