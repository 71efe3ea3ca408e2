// Tile i: row i. Independent sums, as many as hide the latency of two instructions per cycle within the registers there
// are.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/wide.h"
#include "kernels/multiply_add/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

#if defined(__AVX512F__)
constexpr unsigned independent_sums = 12;
#elif defined(__AVX2__)
constexpr unsigned independent_sums = 4;
#elif defined(__aarch64__)
constexpr unsigned independent_sums = 4;
#else
constexpr unsigned independent_sums = 3;
#endif

// What the compiler must not know the contents of, or it would fold the loop.
template <class T>
SY_INLINE T unknown(const void* bytes) {
  T v;
  __asm__ volatile("" : : "r"(bytes) : "memory");
  std::memcpy(&v, bytes, sizeof v);
  return v;
}

// A factor as another one in every step: the compiler would take a product of two constants out of the loop where
// multiplying and adding are instructions of their own.
template <class T>
SY_INLINE T renewed(T v) {
#if defined(__AVX512F__)
#elif defined(__AVX2__)
  __asm__ volatile("" : "+x"(v.lo), "+x"(v.hi));
#else
  __asm__ volatile("" : "+m"(v));
#endif
  return v;
}

// step(sum): one instruction per vector register, `per_step` products.
template <class Sum, class Step, class Finish>
SY_INLINE void add_products(const hal::CallArgs* a, std::uint32_t per_step, Step&& step, Finish&& finish) {
  const auto& p = *static_cast<const kernels::multiply_add::CpuParams*>(a->args);
  const std::uint8_t zeros[64] = {};
  for (std::uint64_t t = a->first_tile; t < a->last_tile; ++t) {
    const auto multiplied = step(static_cast<const float*>(a->pointers[0]) + 16 * t);
    Sum sum[independent_sums];
#pragma GCC unroll 12
    for (unsigned i = 0; i < independent_sums; ++i) sum[i] = unknown<Sum>(zeros);
    for (std::uint32_t n = p.products / per_step; n > 0; n -= independent_sums) {
#pragma GCC unroll 12
      for (unsigned i = 0; i < independent_sums; ++i) sum[i] = multiplied(sum[i]);
    }
    float* y = static_cast<float*>(a->pointers[1]) + 16 * t;
    float total[16] = {}, one[16];
#pragma GCC unroll 12
    for (unsigned i = 0; i < independent_sums; ++i) {
      store(one, finish(sum[i]));
      for (int l = 0; l < 16; ++l) total[l] += one[l];
    }
    std::memcpy(y, total, sizeof total);
  }
}

SY_INLINE void add_products_of_f32(const hal::CallArgs* a) {
  float ones[16];
  for (float& v : ones) v = 1.0f;
  add_products<Wide>(
      a, 1,
      [&](const float* x) SY_LAMBDA {
        const Wide value = load(x), one = unknown<Wide>(ones);
        return [=](Wide sum) SY_LAMBDA { return fma(renewed(value), one, sum); };
      },
      [](Wide sum) SY_LAMBDA { return sum; });
}

}  // namespace switchyard::kernels::SY_ISA
