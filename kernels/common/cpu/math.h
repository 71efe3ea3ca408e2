// exp, silu and softplus of f32 for CPU kernels: plain arithmetic without branches, so that a loop over them
// vectorises, and of internal linkage, so that each instruction set has its own. Largest errors:
// tests/ops/cpu_math.cpp.
#pragma once
#include <cstdint>

namespace switchyard::kernels::SY_ISA {

// e^x over the whole range: 0 below -104, infinity above 88.73, NaN stays NaN.
static inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  // Adding 1.5 * 2^23 leaves the nearest integer of x / ln 2 in the low bits of the sum.
  float shifted = x * 1.44269504f + 12582912.0f;
  float n = shifted - 12582912.0f;
  float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // the first product is exact
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two halves: n reaches from -150 to 128.
  std::int32_t exponent = __builtin_bit_cast(std::int32_t, shifted) - 0x4b400000;
  std::int32_t half = exponent >> 1, rest = exponent - half;
  return p * __builtin_bit_cast(float, static_cast<std::uint32_t>(half + 127) << 23) *
         __builtin_bit_cast(float, static_cast<std::uint32_t>(rest + 127) << 23);
}

static inline float silu(float x) { return x / (1.0f + exp(-x)); }

// log(1 + e^x), without overflow.
static inline float softplus(float x) {
  float magnitude = x < 0 ? -x : x;
  float y = exp(-magnitude);  // log(1 + y) = 2 atanh(s), s at most 1/3
  float s = y / (2.0f + y), q = s * s;
  float p = 1.0f / 15;
  p = p * q + 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  return (x < 0 ? 0.0f : x) + 2.0f * (s + s * (q * p));
}

}  // namespace switchyard::kernels::SY_ISA
