// A timeline kept in host memory: for every backend whose completion is seen by a host thread.
#pragma once
#include <condition_variable>
#include <mutex>
#include <optional>

#include "hal/timeline.h"

namespace switchyard::hal {

class HostTimeline final : public Timeline {
 public:
  explicit HostTimeline(std::uint64_t initial) : value_(initial) {}
  std::uint64_t value() const override;
  Status signal(std::uint64_t value) override;
  void fail(Error error) override;
  Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const override;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::uint64_t value_;
  std::optional<Error> failure_;
};

}  // namespace switchyard::hal
