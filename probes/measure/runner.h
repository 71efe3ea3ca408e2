// One program on one device, run again and again with its data in place: the ground under every measurement.
#pragma once
#include <chrono>
#include <memory>

#include "hal/device.h"
#include "kernels/op.h"
#include "probes/profile.h"

namespace switchyard::probes {

// How long a measurement may go on. A sample repeats the work until it is long enough to be timed.
struct Effort {
  int samples = 15;
  int warmup = 2;                // repetitions before the first sample
  double sample_seconds = 2e-3;  // wanted length of a sample
  double limit_seconds = 1.0;    // after this no further sample is begun; one is always taken
  // Before each sample (then of one run) caches are filled with other data: in a model the other layers do that.
  bool cold = true;
};
inline constexpr Effort quick_effort{5, 1, 1e-3, 0.25, true};

// Data of constants that have none: random within each row block, repeated over the tensor. Enough for speed, not for
// text.
std::vector<std::byte> filler(const hal::Tensor& tensor, std::uint64_t seed);

class Runner {
 public:
  // Compiles (constants without data are filled), and makes buffers for the largest dims. The device must outlive it.
  static hal::Result<std::unique_ptr<Runner>> make(hal::Device& device, hal::Segment segment);

  // Writes inputs (fills as in kernels::Case; default: uniform in [-1, 1]) and clears states.
  hal::Status load(const std::vector<std::int64_t>& dims, const std::map<std::uint32_t, kernels::Fill>& fills);
  // Device time of one run, from the queue's timing; where a backend gives none, from submission to end as the host
  // sees it.
  hal::Result<Stat> time(const Effort& effort);
  // From submission to the end as the host sees it, one run at a time.
  hal::Result<Stat> time_round_trip(const Effort& effort);
  // Runs per second, one after another for so many seconds, as the host sees it.
  hal::Result<double> rate(double seconds);

  hal::Bytes resident() const { return program_->resident(); }
  hal::Bytes scratch() const { return program_->scratch(); }
  double compile_seconds() const { return compile_seconds_; }

 private:
  struct Timed {
    double device = 0, host = 0;  // device: 0 where the backend gives none
  };
  explicit Runner(hal::Device& device) : device_(device) {}
  hal::Result<Timed> submit(int runs);
  hal::Status evict();

  hal::Device& device_;
  hal::Segment segment_;
  hal::ProgramRef program_;
  std::shared_ptr<hal::Queue> queue_;
  hal::TimelineRef timeline_;
  hal::Run run_;
  hal::BufferRef other_, another_;  // what caches are filled with
  std::uint64_t submitted_ = 0;
  double compile_seconds_ = 0;
};

}  // namespace switchyard::probes
