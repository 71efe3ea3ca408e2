// Products of rows16 weights (kernels/common/rows16.h) with rows rounded to 8 bits. Quants are multiplied as unsigned
// bytes; what they are too large by is taken off through the sums of the rounded row.
//
// Per block of 32 (q6_k: of 16), in rising order: total = fma(scale of the weights * integer sum, scale of the row,
// total) and, with minimums, total = fma(-minimum, scale of the row * sum of the row, total). Integer sums are exact,
// so a row's result has the same bits whatever rows stand beside it.
#pragma once
#include <bit>
#include <cstddef>

#include "kernels/common/cpu/reading.h"
#include "kernels/common/cpu/rounded_rows.h"
#include "kernels/common/cpu/rows16_layout.h"

namespace switchyard::kernels::SY_ISA {

// One 32-bit word of each of sixteen rows, and sixteen integer sums.
#if defined(__AVX512VNNI__)

constexpr unsigned groups_at_once = 2, rows_at_once = 6;  // 12 sums and 12 totals in registers
constexpr int q8_0_excess = 128;
struct Words {
  __m512i v;
};
SY_INLINE Words load_words(const Byte* p) { return {_mm512_loadu_si512(p)}; }
SY_INLINE Words masked(Words a, int mask) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(static_cast<char>(mask)))}; }
SY_INLINE Words right(Words a, unsigned n) { return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(static_cast<int>(n)))}; }
SY_INLINE Words high_nibbles(Words a) { return masked({_mm512_srli_epi32(a.v, 4)}, 15); }
SY_INLINE Words left(Words a, unsigned n) { return {_mm512_slli_epi32(a.v, n)}; }
SY_INLINE Words joined(Words a, Words b) { return {_mm512_or_si512(a.v, b.v)}; }
SY_INLINE WideInt splat_int(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
SY_INLINE WideInt dot4(WideInt sum, Words w, std::int32_t row) {
  return {_mm512_dpbusd_epi32(sum.v, w.v, _mm512_set1_epi32(row))};
}
SY_INLINE WideInt dot4_wide(WideInt sum, Words w, std::int32_t row) { return dot4(sum, w, row); }

#elif defined(__AVX2__)

constexpr unsigned groups_at_once = 1, rows_at_once = 2;
struct Words {
  __m256i lo, hi;
};
SY_INLINE Words load_words(const Byte* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
SY_INLINE Words masked(Words a, int mask) {
  const __m256i m = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(a.lo, m), _mm256_and_si256(a.hi, m)};
}
SY_INLINE Words right(Words a, unsigned n) {
  const __m128i c = _mm_cvtsi32_si128(static_cast<int>(n));
  return {_mm256_srl_epi32(a.lo, c), _mm256_srl_epi32(a.hi, c)};
}
SY_INLINE Words high_nibbles(Words a) { return masked({_mm256_srli_epi32(a.lo, 4), _mm256_srli_epi32(a.hi, 4)}, 15); }
SY_INLINE Words left(Words a, unsigned n) {
  return {_mm256_slli_epi32(a.lo, static_cast<int>(n)), _mm256_slli_epi32(a.hi, static_cast<int>(n))};
}
SY_INLINE Words joined(Words a, Words b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
SY_INLINE WideInt splat_int(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
#if defined(__AVXVNNI__)
constexpr int q8_0_excess = 128;
SY_INLINE WideInt dot4(WideInt sum, Words w, std::int32_t row) {
  const __m256i r = _mm256_set1_epi32(row);
  return {_mm256_dpbusd_avx_epi32(sum.lo, w.lo, r), _mm256_dpbusd_avx_epi32(sum.hi, w.hi, r)};
}
SY_INLINE WideInt dot4_wide(WideInt sum, Words w, std::int32_t row) { return dot4(sum, w, row); }
#else
// Pairs are added in 16 bits: two products of up to 127 * 127 fit, of 255 * 127 they do not, so eight-bit quants are
// multiplied as magnitude and sign.
constexpr int q8_0_excess = 0;
SY_INLINE __m256i add_pairs(__m256i sum, __m256i pairs) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
SY_INLINE WideInt dot4(WideInt sum, Words w, std::int32_t row) {
  const __m256i r = _mm256_set1_epi32(row);
  return {add_pairs(sum.lo, _mm256_maddubs_epi16(w.lo, r)), add_pairs(sum.hi, _mm256_maddubs_epi16(w.hi, r))};
}
SY_INLINE WideInt dot4_wide(WideInt sum, Words w, std::int32_t row) {
  const __m256i r = _mm256_set1_epi32(row), flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i a = _mm256_xor_si256(w.lo, flip), b = _mm256_xor_si256(w.hi, flip);
  return {add_pairs(sum.lo, _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(r, a))),
          add_pairs(sum.hi, _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(r, b)))};
}
#endif

#elif defined(__aarch64__)

// Quants are multiplied as signed bytes: all but q8_0's are below 128.
constexpr unsigned groups_at_once = 1, rows_at_once = 2;  // 8 sums and 8 totals in registers
constexpr int q8_0_excess = 0;
struct Words {
  uint32x4_t v[4];
};
SY_INLINE Words load_words(const Byte* p) {
  Words r;
  for (int i = 0; i < 4; ++i) r.v[i] = vreinterpretq_u32_u8(vld1q_u8(p + 16 * i));
  return r;
}
SY_INLINE Words masked(Words a, int mask) {
  const uint32x4_t m = vreinterpretq_u32_u8(vdupq_n_u8(static_cast<std::uint8_t>(mask)));
  for (auto& v : a.v) v &= m;
  return a;
}
SY_INLINE Words right(Words a, unsigned n) {
  for (auto& v : a.v) v >>= n;
  return a;
}
SY_INLINE Words high_nibbles(Words a) {
  for (auto& v : a.v) v = vreinterpretq_u32_u8(vshrq_n_u8(vreinterpretq_u8_u32(v), 4));
  return a;
}
SY_INLINE Words left(Words a, unsigned n) {
  for (auto& v : a.v) v <<= n;
  return a;
}
SY_INLINE Words joined(Words a, Words b) {
  for (int i = 0; i < 4; ++i) a.v[i] |= b.v[i];
  return a;
}
SY_INLINE WideInt splat_int(std::int32_t x) {
  const int32x4_t v = vdupq_n_s32(x);
  return {{v, v, v, v}};
}
#if defined(__ARM_FEATURE_DOTPROD)
SY_INLINE int32x4_t add_dot4(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
#else
SY_INLINE int32x4_t add_dot4(int32x4_t sum, int8x16_t a, int8x16_t b) {
  const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}
#endif
SY_INLINE WideInt dot4(WideInt sum, Words w, std::int32_t row) {
  const int8x16_t r = vreinterpretq_s8_s32(vdupq_n_s32(row));
  for (int i = 0; i < 4; ++i) sum.v[i] = add_dot4(sum.v[i], vreinterpretq_s8_u32(w.v[i]), r);
  return sum;
}
SY_INLINE WideInt dot4_wide(WideInt sum, Words w, std::int32_t row) {
  for (auto& v : w.v) v ^= 0x80808080u;
  return dot4(sum, w, row);
}

#else

constexpr unsigned groups_at_once = 1, rows_at_once = 1;
constexpr int q8_0_excess = 128;
struct Words {
  std::uint32_t v[16];
};
SY_INLINE Words load_words(const Byte* p) {
  Words r;
  std::memcpy(r.v, p, 64);
  return r;
}
SY_INLINE Words masked(Words a, int mask) {
  for (auto& v : a.v) v &= static_cast<std::uint32_t>(mask) * 0x01010101u;
  return a;
}
SY_INLINE Words right(Words a, unsigned n) {
  for (auto& v : a.v) v >>= n;
  return a;
}
SY_INLINE Words high_nibbles(Words a) { return masked(right(a, 4), 15); }
SY_INLINE Words left(Words a, unsigned n) {
  for (auto& v : a.v) v <<= n;
  return a;
}
SY_INLINE Words joined(Words a, const Words& b) {
  for (int i = 0; i < 16; ++i) a.v[i] |= b.v[i];
  return a;
}
SY_INLINE WideInt splat_int(std::int32_t x) {
  return {{FourInt{x, x, x, x}, FourInt{x, x, x, x}, FourInt{x, x, x, x}, FourInt{x, x, x, x}}};
}
SY_INLINE WideInt dot4(WideInt sum, const Words& w, std::int32_t row) {
  std::int32_t total[16];
  std::memcpy(total, sum.v, 64);
  for (int i = 0; i < 16; ++i)
    for (int b = 0; b < 4; ++b)
      total[i] += static_cast<std::int32_t>(w.v[i] >> (8 * b) & 255u) *
                  static_cast<std::int8_t>(static_cast<std::uint32_t>(row) >> (8 * b));
  std::memcpy(sum.v, total, 64);
  return sum;
}
SY_INLINE WideInt dot4_wide(WideInt sum, const Words& w, std::int32_t row) { return dot4(sum, w, row); }

#endif

SY_INLINE std::int32_t word_at(const Byte* row, std::uint64_t at) {
  std::int32_t w;
  std::memcpy(&w, row + at, 4);
  return w;
}
SY_INLINE float float_at(const Byte* p) {
  float x;
  std::memcpy(&x, p, 4);
  return x;
}
SY_INLINE Wide negated(Wide a) { return multiply(splat(-1.0f), a); }

// What the quants of a type are too large by, as they are multiplied.
constexpr int excess_of(DType type) {
  return type == DType::q8_0 ? q8_0_excess : type == DType::q6_k ? 32 : type == DType::q4_0 ? 8 : 0;
}

// Totals of G groups of sixteen weight rows and C rounded rows.
template <unsigned G, unsigned C>
struct Totals {
  Wide v[G][C];
};

// What is known of a block of 32 of rounded rows, broadcast from where it lies (RoundedBlock).
struct Blocks {
  const Byte* const* row;
  std::uint64_t at;  // of the block, from a row's begin
  SY_METHOD Wide scale(unsigned c) const { return splat(float_at(row[c] + at)); }
  SY_METHOD Wide scaled_sum(unsigned c) const {
    return splat(float_at(row[c] + at + offsetof(RoundedBlock, scaled_sum)));
  }
  // What integer sums over the block start from with quants that are 2^bits too large; half: of 16, the first or not.
  template <int bits>
  SY_METHOD WideInt start(unsigned c) const {
    return shift_left(splat_int(word_at(row[c], at + offsetof(RoundedBlock, minus_sum))), bits);
  }
  template <int bits>
  SY_METHOD WideInt start_of_half(unsigned c, unsigned half) const {
    const std::int32_t first = word_at(row[c], at + offsetof(RoundedBlock, minus_first));
    if (half == 0) return shift_left(splat_int(first), bits);
    return shift_left(splat_int(word_at(row[c], at + offsetof(RoundedBlock, minus_sum)) - first), bits);
  }
};

// Integer sums of `words` words from each group, word j times the four quants at row[c] + at + 4 j; take(j, g) makes
// the words, start(c) what they start from. Then the block's float step.
template <unsigned G, unsigned C, unsigned words, bool wide, class Start, class Take>
SY_INLINE void multiply_block(Totals<G, C>& total, const Wide (&scale)[G], const Blocks& rows, std::uint32_t at,
                              Start&& start, Take&& take) {
  WideInt sum[G][C];
#pragma GCC unroll 8
  for (unsigned c = 0; c < C; ++c) {
    const WideInt from = start(c);
#pragma GCC unroll 2
    for (unsigned g = 0; g < G; ++g) sum[g][c] = from;
  }
#pragma GCC unroll 8
  for (unsigned j = 0; j < words; ++j) {
    Words w[G];
#pragma GCC unroll 2
    for (unsigned g = 0; g < G; ++g) w[g] = take(j, g);
#pragma GCC unroll 8
    for (unsigned c = 0; c < C; ++c) {
      const std::int32_t x = word_at(rows.row[c], at + 4 * j);
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) sum[g][c] = wide ? dot4_wide(sum[g][c], w[g], x) : dot4(sum[g][c], w[g], x);
    }
  }
#pragma GCC unroll 8
  for (unsigned c = 0; c < C; ++c) {
    const Wide row_scale = rows.scale(c);
#pragma GCC unroll 2
    for (unsigned g = 0; g < G; ++g)
      total.v[g][c] = fma(multiply(to_float(sum[g][c]), scale[g]), row_scale, total.v[g][c]);
  }
}

// Of `read_ahead_bytes` ahead, what one step of a loop uses.
SY_INLINE void read_ahead(const Byte* p) {
  for (int line = 0; line < 5; ++line) __builtin_prefetch(p + 64 * line);
}

// What to ask memory for at piece b of a group: the piece `ahead` of it, from `edge` on tail + b pieces.
struct Soon {
  std::uint32_t edge;
  const Byte* tail[2];
};
template <DType type>
constexpr std::uint32_t pieces_ahead = (read_ahead_bytes + rows16_layout(type).bytes - 1) / rows16_layout(type).bytes;
// Read for the first time: ahead in the group, and across its end in `next`.
template <DType type>
SY_INLINE Soon ahead_into(const Byte* const (&next)[2], std::uint32_t k) {
  constexpr Rows16Layout in = rows16_layout(type);
  constexpr std::uint32_t ahead = pieces_ahead<type>;
  const std::uint32_t pieces = k / in.elements;
  const std::int64_t shift = (std::int64_t{ahead} - pieces) * in.bytes;
  return {pieces > ahead ? pieces - ahead : 0, {next[0] + shift, next[1] + shift}};
}

// All of K: `w` are the groups, `row` the rounded rows (rounded_rows.h).
template <DType type, unsigned G, unsigned C>
SY_INLINE void multiply_rows16(const Byte* const* w, const Soon& ask, std::uint32_t k, const Byte* const* row,
                               Totals<G, C>& total) {
  const Byte* at[G];
#pragma GCC unroll 2
  for (unsigned g = 0; g < G; ++g) {
    at[g] = w[g];
#pragma GCC unroll 8
    for (unsigned c = 0; c < C; ++c) total.v[g][c] = zero();
  }
  Wide scale[G];
  constexpr Rows16Layout in = rows16_layout(type);
  constexpr std::uint32_t bytes = in.bytes;
  const std::uint32_t pieces = k / in.elements;
  auto block = [&](std::uint32_t b) SY_LAMBDA { return Blocks{row, k + std::uint64_t{b} * sizeof(RoundedBlock)}; };
  constexpr int excess = excess_of(type), excess_bits = std::countr_zero(static_cast<unsigned>(excess));
  auto start_of = [&](const Blocks& rows) SY_LAMBDA {
    return [&](unsigned c) SY_LAMBDA {
      if constexpr (excess == 0) return splat_int(0);
      return rows.start<excess_bits>(c);
    };
  };
  auto soon = [&](std::uint32_t b, unsigned g) SY_LAMBDA {
    return b < ask.edge ? at[g] + pieces_ahead<type> * bytes : ask.tail[g] + std::uint64_t{b} * bytes;
  };
  if constexpr (type == DType::q4_0 || type == DType::q8_0) {
    constexpr bool wide = type == DType::q8_0;
    for (std::uint32_t b = 0; b < pieces; ++b) {
      const Blocks rows = block(b);
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) {
        const Byte* later = soon(b, g);
        read_ahead(later);
        if constexpr (wide) read_ahead(later + bytes / 2);
        scale[g] = from_half(at[g]);
      }
      multiply_block<G, C, 8, wide>(total, scale, rows, 32 * b, start_of(rows), [&](unsigned j, unsigned g) SY_LAMBDA {
        if constexpr (wide) return load_words(at[g] + in.quants + 64 * j);
        const Words q = load_words(at[g] + in.quants + 64 * (j % 4));
        return j < 4 ? masked(q, 15) : high_nibbles(q);
      });
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) at[g] += bytes;
    }
  } else if constexpr (type == DType::q4_k || type == DType::q5_k) {
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      Wide d[G], least[G];
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) d[g] = from_half(at[g]), least[g] = negated(from_half(at[g] + in.least));
      for (std::uint32_t pair = 0; pair < 4; ++pair) {
        // Low nibbles are the first 32 of 64 elements, high ones the others.
#pragma GCC unroll 2
        for (std::uint32_t high = 0; high < 2; ++high) {
          const std::uint32_t s = 2 * pair + high;
          const Blocks rows = block(8 * piece + s);
#pragma GCC unroll 2
          for (unsigned g = 0; g < G; ++g) {
            read_ahead(soon(piece, g) + s * (bytes / 8));
            scale[g] = multiply(d[g], to_float(from_u8(at[g] + in.scales + 16 * s)));
          }
          multiply_block<G, C, 8, false>(
              total, scale, rows, 256 * piece + 32 * s, start_of(rows), [&](unsigned j, unsigned g) SY_LAMBDA {
                const Words both = load_words(at[g] + in.quants + 64 * (pair * 8 + j));
                const Words q = high ? high_nibbles(both) : masked(both, 15);
                if constexpr (type == DType::q4_k) return q;
                const Words fifth = masked(right(load_words(at[g] + in.high + 64 * j), s), 1);
                return joined(q, left(fifth, 4));
              });
#pragma GCC unroll 2
          for (unsigned g = 0; g < G; ++g) {
            const Wide minimum = multiply(least[g], to_float(from_u8(at[g] + in.minimums + 16 * s)));
#pragma GCC unroll 8
            for (unsigned c = 0; c < C; ++c) total.v[g][c] = fma(minimum, rows.scaled_sum(c), total.v[g][c]);
          }
        }
      }
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) at[g] += bytes;
    }
  } else {  // q6_k
    for (std::uint32_t piece = 0; piece < pieces; ++piece) {
      for (std::uint32_t s = 0; s < 8; ++s) {
        const Blocks rows = block(8 * piece + s);
        const std::uint32_t half = s / 4, quarter = s % 4;
#pragma GCC unroll 2
        for (std::uint32_t i = 0; i < 2; ++i) {
#pragma GCC unroll 2
          for (unsigned g = 0; g < G; ++g) {
            read_ahead(soon(piece, g) + (2 * s + i) * (bytes / 16));
            scale[g] = multiply(from_half(at[g]), to_float(from_i8(at[g] + in.scales + 16 * (2 * s + i))));
          }
          multiply_block<G, C, 4, false>(
              total, scale, rows, 256 * piece + 32 * s + 16 * i,
              [&](unsigned c) SY_LAMBDA { return rows.start_of_half<excess_bits>(c, i); },
              [&](unsigned j, unsigned g) SY_LAMBDA {
                const Words low = load_words(at[g] + in.quants + 64 * (half * 16 + quarter % 2 * 8 + 4 * i + j)),
                            high = load_words(at[g] + in.high + 64 * (half * 8 + 4 * i + j));
                return joined(masked(right(low, 4 * (quarter / 2)), 15), left(masked(right(high, 2 * quarter), 3), 4));
              });
        }
      }
#pragma GCC unroll 2
      for (unsigned g = 0; g < G; ++g) at[g] += bytes;
    }
  }
}

template <DType type, unsigned G, unsigned C>
static __attribute__((noinline)) void store_rows16(const Byte* const* w, const Soon& ask, std::uint32_t k,
                                                   const Byte* const* row, float* out) {
  Totals<G, C> total;
  multiply_rows16<type, G, C>(w, ask, k, row, total);
#pragma GCC unroll 2
  for (unsigned g = 0; g < G; ++g)
#pragma GCC unroll 8
    for (unsigned c = 0; c < C; ++c) store(out + (g * rows_at_once + c) * 16, total.v[g][c]);
}

// Two groups times up to rows_at_once rounded rows: out[(g * rows_at_once + c) * 16 + lane]. pass: how often the groups
// were read just before. The second time asks for the pair that follows, so that memory works while the first pass over
// that one computes.
template <DType type>
SY_INLINE void two_groups(const Byte* const (&w)[2], std::uint32_t k, const Byte* const* row, unsigned count,
                          unsigned pass, float* out) {
  const std::uint64_t group = rows16_bytes(type, k);
  const std::uint64_t pair = w[1] == w[0] + group ? 2 * group : group;  // neighbours, or of two matrices
  const Byte* const after[2] = {w[0] + pair, w[1] + pair};
  const Soon ask = pass == 1 ? Soon{0, {after[0], after[1]}} : ahead_into<type>(after, k);
  if constexpr (groups_at_once == 2) {
    switch (count) {
      case 1: break;
      case 2: return store_rows16<type, 2, 2>(w, ask, k, row, out);
      case 3: return store_rows16<type, 2, 3>(w, ask, k, row, out);
      case 4: return store_rows16<type, 2, 4>(w, ask, k, row, out);
      case 5: return store_rows16<type, 2, 5>(w, ask, k, row, out);
      default: return store_rows16<type, 2, 6>(w, ask, k, row, out);
    }
  }
  // One after the other, a single stream from memory: the second follows the first, and the next pair both.
  for (unsigned g = 0; g < 2; ++g) {
    const Byte* const next[2] = {g == 0 ? w[1] : after[0]};
    const Soon ask_in_turn = ahead_into<type>(next, k);
    float* to = out + g * rows_at_once * 16;
    if (groups_at_once == 1 && rows_at_once > 1 && count > 1)
      store_rows16<type, 1, rows_at_once>(w + g, ask_in_turn, k, row, to);
    else
      store_rows16<type, 1, 1>(w + g, ask_in_turn, k, row, to);
  }
}

// f with the quantised type as a constant.
template <class F>
SY_INLINE void with_quantised(DType type, F&& f) {
  switch (type) {
    case DType::q8_0: return f(TypeConstant<DType::q8_0>{});
    case DType::q4_0: return f(TypeConstant<DType::q4_0>{});
    case DType::q4_k: return f(TypeConstant<DType::q4_k>{});
    case DType::q5_k: return f(TypeConstant<DType::q5_k>{});
    default: return f(TypeConstant<DType::q6_k>{});
  }
}

SY_INLINE std::uint64_t input_row_bytes(std::uint32_t k) { return int8_row_bytes(k); }
// x[0 .. 32) as elements [first, first + 32) of a rounded row of k.
SY_INLINE void round_32(const float* x, Byte* row, std::uint32_t k, std::uint32_t first) {
  round_block(x, reinterpret_cast<std::int8_t*>(row) + first, row + k + first / 32 * sizeof(RoundedBlock));
}

#if !defined(SY_TILES)  // else that of int8_tiles.h
// Pairs of groups w[0] and w[1] times `rows` rounded rows: emit(row, sixteen products of w[0], of w[1]) in rising
// order.
template <class Row, class Emit>
SY_INLINE void multiply_pair(DType type, const Byte* const (&w)[2], std::uint32_t k, std::int64_t rows, Row&& row_at,
                             Emit&& emit) {
  with_quantised(type, [&](auto t) SY_LAMBDA {
    float out[2 * rows_at_once * 16];
    unsigned count = 0, pass = 0;
    for (std::int64_t first = 0; first < rows; first += count, ++pass) {
      count = rows_of_pass(rows - first, rows_at_once);
      const Byte* row[rows_at_once];
      for (unsigned c = 0; c < count; ++c) row[c] = row_at(first + c);
      two_groups<decltype(t)::value>(w, k, row, count, pass, out);
      for (unsigned c = 0; c < count; ++c) emit(first + c, out + c * 16, out + (rows_at_once + c) * 16);
    }
  });
}
#endif

}  // namespace switchyard::kernels::SY_ISA

#if defined(SY_TILES)
#include "kernels/common/cpu/int8_tiles.h"
#endif
