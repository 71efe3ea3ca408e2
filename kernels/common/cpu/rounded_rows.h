// Rounded rows, as Activations::rounded says (kernels/op.h). To 8 bits: k quants, then one RoundedBlock per 32 of them.
// To bf16: k numbers.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels {

struct RoundParams {
  std::uint32_t k;
  CpuRows rows;
};

struct RoundedBlock {
  float scale, scaled_sum;              // scale * the sum of its quants
  std::int32_t minus_sum, minus_first;  // of the quants, and of the first half's
};
static inline std::uint32_t bf16_row_bytes(std::uint32_t k) { return 2 * k; }
static inline std::uint32_t int8_row_bytes(std::uint32_t k) {
  return k + k / 32 * static_cast<std::uint32_t>(sizeof(RoundedBlock));
}

#if defined(SY_ISA)
namespace SY_ISA {

// Plain loops over 32 elements, which every instruction set's compiler run vectorises.
static inline void round_block(const float* x, std::int8_t* quants, void* block) {
  std::int32_t largest = 0;  // magnitudes of floats are in the order of their bits
  for (int i = 0; i < 32; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, x + i, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float magnitude;
  std::memcpy(&magnitude, &largest, 4);
  const float inverse = magnitude > 0 ? 127.0f / magnitude : 0.0f;
  std::int32_t q[32];
  for (int i = 0; i < 32; ++i) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const float shifted = x[i] * inverse + 12582912.0f;
    std::int32_t bits;
    std::memcpy(&bits, &shifted, 4);
    q[i] = bits - 0x4b400000;
  }
  RoundedBlock b{magnitude / 127.0f, 0, 0, 0};
  for (int i = 0; i < 16; ++i) b.minus_first -= q[i];
  b.minus_sum = b.minus_first;
  for (int i = 16; i < 32; ++i) b.minus_sum -= q[i];
  for (int i = 0; i < 32; ++i) quants[i] = static_cast<std::int8_t>(q[i]);
  b.scaled_sum = b.scale * static_cast<float>(-b.minus_sum);
  std::memcpy(block, &b, sizeof b);
}

}  // namespace SY_ISA
#endif

}  // namespace switchyard::kernels
