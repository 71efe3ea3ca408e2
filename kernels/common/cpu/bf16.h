// Products of bf16 weights as rows16 (kernels/common/rows16.h) with rows rounded to bf16, in the processor's dot
// product of pairs: total = total + x[2 j] w[2 j] + x[2 j + 1] w[2 j + 1] for rising j, subnormals as zero, in f32. A
// row's result has the same bits whatever rows stand beside it. The same names as int8.h, for the same kernels.
#pragma once
#include "kernels/common/cpu/reading.h"
#include "kernels/common/cpu/rounded_rows.h"
#include "kernels/common/cpu/rows16_layout.h"

namespace switchyard::kernels::SY_ISA {

SY_INLINE std::uint64_t input_row_bytes(std::uint32_t k) { return bf16_row_bytes(k); }
// x[0 .. 32) as elements [first, first + 32) of a rounded row: nearest, ties to even.
SY_INLINE void round_32(const float* x, Byte* row, std::uint32_t, std::uint32_t first) {
#if defined(__AVX512BF16__)
  const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x));
  std::memcpy(row + 2 * first, &both, 64);
#else  // the same bits: subnormals become zero, NaN quiet
  std::uint16_t rounded[32];
  for (int i = 0; i < 32; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    const std::uint32_t exponent = bits & 0x7f800000u, nan = (bits & 0x7fffffffu) > 0x7f800000u;
    if (exponent == 0) bits &= 0x80000000u;
    rounded[i] = static_cast<std::uint16_t>((nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  std::memcpy(row + 2 * first, rounded, 64);
#endif
}

#if !defined(SY_TILES)  // else that of bf16_tiles.h

constexpr unsigned most_rows = 12;  // 24 totals in registers

// Two groups times C rows: out[(g * most_rows + c) * 16 + lane]. Asks memory for soon[g] and what follows it, `step`
// bytes for each line of w[g].
template <unsigned C>
static __attribute__((noinline)) void store_bf16(const Byte* const (&w)[2], std::uint32_t k, const Byte* const* row,
                                                 const Byte* const (&soon)[2], std::uint32_t step, float* out) {
  __m512 total[2][C];
#pragma GCC unroll 2
  for (unsigned g = 0; g < 2; ++g)
#pragma GCC unroll 12
    for (unsigned c = 0; c < C; ++c) total[g][c] = _mm512_setzero_ps();
  const Byte* ahead[2] = {soon[0], soon[1]};
  for (std::uint32_t j = 0; j < k / 2; ++j) {
    __m512bh v[2];
#pragma GCC unroll 2
    for (unsigned g = 0; g < 2; ++g) {
      __builtin_prefetch(ahead[g]);
      ahead[g] += step;
      std::memcpy(&v[g], w[g] + 64 * j, 64);
    }
#pragma GCC unroll 12
    for (unsigned c = 0; c < C; ++c) {
      std::int32_t pair;
      std::memcpy(&pair, row[c] + 4 * j, 4);
      const auto x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
      for (unsigned g = 0; g < 2; ++g) total[g][c] = _mm512_dpbf16_ps(total[g][c], v[g], x);
    }
  }
#pragma GCC unroll 2
  for (unsigned g = 0; g < 2; ++g)
#pragma GCC unroll 12
    for (unsigned c = 0; c < C; ++c) _mm512_storeu_ps(out + (g * most_rows + c) * 16, total[g][c]);
}

// Pairs of groups w[0] and w[1] times `rows` rounded rows: emit(row, sixteen products of w[0], of w[1]) in rising
// order.
template <class Row, class Emit>
SY_INLINE void multiply_pair(DType, const Byte* const (&w)[2], std::uint32_t k, std::int64_t rows, Row&& row_at,
                             Emit&& emit) {
  using Store = void (*)(const Byte* const(&)[2], std::uint32_t, const Byte* const*, const Byte* const(&)[2],
                         std::uint32_t, float*);
  static constexpr Store by_count[] = {nullptr,        store_bf16<1>,  store_bf16<2>, store_bf16<3>, store_bf16<4>,
                                       store_bf16<5>,  store_bf16<6>,  store_bf16<7>, store_bf16<8>, store_bf16<9>,
                                       store_bf16<10>, store_bf16<11>, store_bf16<12>};
  float out[2 * most_rows * 16];
  // The first pass asks for what it comes to, those after it for the next pair, a part each.
  const std::uint64_t group = rows16_bytes(DType::bf16, k), pair = w[1] == w[0] + group ? 2 * group : group;
  const unsigned passes = passes_over(rows, most_rows);
  unsigned count = 0, pass = 0;
  for (std::int64_t first = 0; first < rows; first += count, ++pass) {
    count = rows_of_pass(rows - first, most_rows);
    const Byte* row[most_rows];
    for (unsigned c = 0; c < count; ++c) row[c] = row_at(first + c);
    const unsigned parts = pass > 0 ? passes - 1 : 1;
    const std::uint64_t from = pass > 0 ? pair + group * (pass - 1) / parts : read_ahead_bytes;
    const Byte* const soon[2] = {w[0] + from, w[1] + from};
    by_count[count](w, k, row, soon, (64 + parts - 1) / parts, out);
    for (unsigned c = 0; c < count; ++c) emit(first + c, out + c * 16, out + (most_rows + c) * 16);
  }
}
#endif

}  // namespace switchyard::kernels::SY_ISA

#if defined(SY_TILES)
#include "kernels/common/cpu/bf16_tiles.h"
#endif
