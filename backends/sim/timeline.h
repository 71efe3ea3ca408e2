// A timeline whose values also have a simulated time, so that devices with logical clocks agree on what comes first.
#pragma once
#include <map>

#include "hal/shared/host_timeline.h"

namespace switchyard::backends::sim {

using namespace hal;

class SimTimeline final : public Timeline {
 public:
  explicit SimTimeline(std::uint64_t initial) : inner_(initial) {}
  std::uint64_t value() const override { return inner_.value(); }
  Status signal(std::uint64_t value) override {
    reached_at(value, {});
    return inner_.signal(value);
  }
  void fail(Error error) override { inner_.fail(std::move(error)); }
  Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const override {
    return inner_.wait(value, timeout);
  }

  // When the work behind `value` ends; said before it is signalled. What the host signals without is there at once.
  void reached_at(std::uint64_t value, std::chrono::nanoseconds time) {
    std::lock_guard lock(mutex_);
    times_.try_emplace(value, time);
    if (times_.size() > kept) times_.erase(times_.begin());
  }
  // Of the signal that reached `value`; of the oldest one known, if that is longer ago.
  std::chrono::nanoseconds time_of(std::uint64_t value) const {
    std::lock_guard lock(mutex_);
    auto at = times_.lower_bound(value);
    return at == times_.end() ? std::chrono::nanoseconds{} : at->second;
  }

 private:
  static constexpr std::size_t kept = 1024;
  HostTimeline inner_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::chrono::nanoseconds> times_;
};

}  // namespace switchyard::backends::sim
