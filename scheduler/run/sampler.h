// Sampler: the sampling op on one device, one row of logits at a time.
#pragma once
#include <random>

#include "hal/device.h"
#include "kernels/sampling/sampling.h"

namespace switchyard::scheduler {

class Sampler {
 public:
  // unsupported: with the device's reason (a GPU may take only temperature 0).
  static hal::Result<std::unique_ptr<Sampler>> make(hal::DeviceRef device, std::int64_t vocab,
                                                    const kernels::sampling::Attrs& attrs, std::uint64_t seed);
  // logits: vocab numbers. The same seed gives the same tokens.
  hal::Result<std::int32_t> sample(std::span<const float> logits);

 private:
  Sampler(hal::DeviceRef device, std::uint64_t seed) : device_(std::move(device)), random_(seed) {}
  hal::DeviceRef device_;
  std::mt19937_64 random_;
  hal::Run run_;
  std::shared_ptr<hal::Queue> queue_;
  hal::TimelineRef timeline_;
  std::uint64_t submitted_ = 0;
};

}  // namespace switchyard::scheduler
