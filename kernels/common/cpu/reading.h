// How products of rounded rows pass over weights and rows: what is asked of memory ahead, and what stays in the caches.
#pragma once
#include "kernels/common/cpu/dequant.h"

namespace switchyard::kernels::SY_ISA {

// With few rows the weights come from memory. Seven kilobytes ahead keep enough lines under way for one thread to take
// two thirds of what memory gives; the processor's own prefetch reaches half of that.
constexpr std::int64_t few_rows = 8;
constexpr std::uint32_t read_ahead_bytes = 7000;
// The begin of what is read next, all at once.
SY_INLINE void ask_for(const Byte* p, std::uint32_t bytes = read_ahead_bytes) {
  for (std::uint32_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}
// A line that a pass will write, before the pass: it is there when the products are.
SY_INLINE void expect(const void* p) { __builtin_prefetch(p, 1); }

// Rows for a pass over a pair of groups: all that are left, `most`, or half of a rest that is little more than `most`,
// where nearly all and a few would leave the multipliers waiting.
constexpr unsigned rows_of_pass(std::int64_t left, unsigned most) {
  if (left > most && left < 2 * std::int64_t{most}) return static_cast<unsigned>(left + 1) / 2;
  return left < most ? static_cast<unsigned>(left) : most;
}
constexpr unsigned passes_over(std::int64_t rows, unsigned most) {
  return static_cast<unsigned>((rows + most - 1) / most);
}

// Rows of so many bytes that stay in the second-level cache while all tiles of weights pass; a multiple of what any of
// the products takes at once. bf16: all of them, since its weights are as wide as the rows and would pass again per
// strip.
constexpr std::int64_t rows_of_strip(DType weights, std::uint64_t row_bytes, std::int64_t all) {
  if (weights == DType::bf16) return all;
  const auto fit = static_cast<std::int64_t>((384 << 10) / row_bytes / 48 * 48);
  return fit < 48 ? 48 : fit;
}

}  // namespace switchyard::kernels::SY_ISA
