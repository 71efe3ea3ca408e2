// Learns, as the last point of a submission, how it ended.
#pragma once
#include <atomic>
#include <functional>
#include <optional>

#include "hal/timeline.h"

namespace switchyard::backends::remote {

class EndOfWork final : public hal::Timeline {
 public:
  // Called once, with the error if there is one; also where a queue forgets about the submission.
  explicit EndOfWork(std::function<void(std::optional<hal::Error>)> ended) : ended_(std::move(ended)) {}
  ~EndOfWork() override { end(hal::Error{hal::Code::internal, "a queue dropped a submission"}); }
  std::uint64_t value() const override { return done_ ? 1 : 0; }
  hal::Status signal(std::uint64_t) override {
    end(std::nullopt);
    return hal::ok();
  }
  void fail(hal::Error error) override { end(std::move(error)); }
  hal::Status wait(std::uint64_t, std::chrono::nanoseconds) const override {
    return hal::Error{hal::Code::unsupported, "wait: only the queue knows this timeline"};
  }

 private:
  void end(std::optional<hal::Error> error) {
    if (!done_.exchange(true)) ended_(std::move(error));
  }
  std::function<void(std::optional<hal::Error>)> ended_;
  std::atomic<bool> done_{false};
};

}  // namespace switchyard::backends::remote
