// Fill: weights from a seed, fast, in any of the eight types.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "hal/segment.h"

namespace switchyard::models {

// A source of random bits whose numbers are the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  float uniform(float low, float high);
  float normal(float deviation);  // a sum of four uniform numbers: bounded by about 3.5 deviations

 private:
  std::uint64_t state_;
};

// About a million weights of one type, mean 0, and cheap copies of them from random block borders. Const use: any
// thread.
class Pool {
 public:
  Pool(hal::DType dtype, float deviation, std::uint64_t seed);
  // `to` is a whole number of blocks.
  void fill(std::span<std::byte> to, std::uint64_t seed) const;

 private:
  std::uint32_t block_;
  std::vector<std::byte> bytes_;
};

// Zeroed memory from the system, in large pages where it gives them, returned with its last owner. Empty when refused.
struct Memory {
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;
};
Memory allocate_pages(std::size_t bytes);

// Bytes the system could give without taking them from others; 0 where it does not say.
hal::Bytes available_memory();

}  // namespace switchyard::models
