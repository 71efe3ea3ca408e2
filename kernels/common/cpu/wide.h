// Sixteen lanes of f32 or i32, in whatever registers the instruction set has. Kernels that sum in Wide have one order
// of summation per instruction set: lane by lane, then the fixed tree of sum().
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12's own AVX-512 header leaves the unused operand of its masked forms unset and warns about it where they are
// inlined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define SY_INLINE static inline __attribute__((always_inline))
#define SY_METHOD inline __attribute__((always_inline))
#define SY_LAMBDA __attribute__((always_inline))  // [&](int j, Wide v) SY_LAMBDA { ... }

namespace switchyard::kernels::SY_ISA {

constexpr int lanes = 16;

#if defined(__AVX512F__)

struct Wide {
  __m512 v;
};
struct WideInt {
  __m512i v;
};
SY_INLINE Wide zero() { return {_mm512_setzero_ps()}; }
SY_INLINE Wide splat(float x) { return {_mm512_set1_ps(x)}; }
SY_INLINE Wide load(const float* p) { return {_mm512_loadu_ps(p)}; }
SY_INLINE Wide load_first(const float* p, unsigned n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)};
}
SY_INLINE void store(float* p, Wide a) { _mm512_storeu_ps(p, a.v); }
SY_INLINE void store_first(float* p, Wide a, unsigned n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}
SY_INLINE Wide fma(Wide a, Wide b, Wide c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SY_INLINE Wide multiply(Wide a, Wide b) { return {_mm512_mul_ps(a.v, b.v)}; }
SY_INLINE Wide halves(float low, float high) {
  return {_mm512_mask_blend_ps(0xff00, _mm512_set1_ps(low), _mm512_set1_ps(high))};
}
SY_INLINE WideInt from_u8(const std::uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
SY_INLINE WideInt from_i8(const std::uint8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
SY_INLINE WideInt from_u16(const std::uint8_t* p) {
  return {_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
SY_INLINE WideInt shift_left(WideInt a, int n) { return {_mm512_slli_epi32(a.v, static_cast<unsigned>(n))}; }
SY_INLINE WideInt shift_right(WideInt a, int n) { return {_mm512_srli_epi32(a.v, static_cast<unsigned>(n))}; }
SY_INLINE WideInt both(WideInt a, int mask) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(mask))}; }
SY_INLINE Wide to_float(WideInt a) { return {_mm512_cvtepi32_ps(a.v)}; }
SY_INLINE Wide as_float(WideInt a) { return {_mm512_castsi512_ps(a.v)}; }
SY_INLINE Wide from_half(const std::uint8_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
SY_INLINE float sum(Wide a) {
  __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

#elif defined(__AVX2__)

struct Wide {
  __m256 lo, hi;
};
struct WideInt {
  __m256i lo, hi;
};
SY_INLINE Wide zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
SY_INLINE Wide splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SY_INLINE Wide load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SY_INLINE Wide load_first(const float* p, unsigned n) {
  float part[16] = {};
  std::memcpy(part, p, n * sizeof(float));
  return load(part);
}
SY_INLINE void store(float* p, Wide a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
SY_INLINE void store_first(float* p, Wide a, unsigned n) {
  float all[16];
  store(all, a);
  std::memcpy(p, all, n * sizeof(float));
}
SY_INLINE Wide fma(Wide a, Wide b, Wide c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
SY_INLINE Wide multiply(Wide a, Wide b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
SY_INLINE __m128i eight(const std::uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
SY_INLINE Wide halves(float low, float high) { return {_mm256_set1_ps(low), _mm256_set1_ps(high)}; }
SY_INLINE WideInt from_u8(const std::uint8_t* p) {
  return {_mm256_cvtepu8_epi32(eight(p)), _mm256_cvtepu8_epi32(eight(p + 8))};
}
SY_INLINE WideInt from_i8(const std::uint8_t* p) {
  return {_mm256_cvtepi8_epi32(eight(p)), _mm256_cvtepi8_epi32(eight(p + 8))};
}
SY_INLINE WideInt from_u16(const std::uint8_t* p) {
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
SY_INLINE WideInt shift_left(WideInt a, int n) { return {_mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n)}; }
SY_INLINE WideInt shift_right(WideInt a, int n) { return {_mm256_srli_epi32(a.lo, n), _mm256_srli_epi32(a.hi, n)}; }
SY_INLINE WideInt both(WideInt a, int mask) {
  __m256i m = _mm256_set1_epi32(mask);
  return {_mm256_and_si256(a.lo, m), _mm256_and_si256(a.hi, m)};
}
SY_INLINE Wide to_float(WideInt a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
SY_INLINE Wide as_float(WideInt a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
SY_INLINE Wide from_half(const std::uint8_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
SY_INLINE float sum(Wide a) {
  __m256 b = _mm256_add_ps(a.lo, a.hi);
  __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_add_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

#else  // any CPU: vectors of four, which GCC and Clang map to what there is; every aarch64 has NEON

using Four = float __attribute__((vector_size(16)));
using FourInt = std::int32_t __attribute__((vector_size(16)));
struct Wide {
  Four v[4];
};
struct WideInt {
  FourInt v[4];
};
#define SY_EACH(result, expression)                \
  result r;                                        \
  for (int i = 0; i < 4; ++i) r.v[i] = expression; \
  return r
SY_INLINE Wide splat(float x) { SY_EACH(Wide, (Four{x, x, x, x})); }
SY_INLINE Wide zero() { return splat(0.0f); }
SY_INLINE Wide load(const float* p) {
  Wide r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
SY_INLINE Wide load_first(const float* p, unsigned n) {
  float part[16] = {};
  std::memcpy(part, p, n * sizeof(float));
  return load(part);
}
SY_INLINE void store(float* p, Wide a) { std::memcpy(p, a.v, sizeof a.v); }
SY_INLINE void store_first(float* p, Wide a, unsigned n) {
  float all[16];
  store(all, a);
  std::memcpy(p, all, n * sizeof(float));
}
#if defined(__aarch64__)
SY_INLINE Wide fma(Wide a, Wide b, Wide c) { SY_EACH(Wide, vfmaq_f32(c.v[i], a.v[i], b.v[i])); }
#else
SY_INLINE Wide fma(Wide a, Wide b, Wide c) { SY_EACH(Wide, a.v[i] * b.v[i] + c.v[i]); }
#endif
SY_INLINE Wide multiply(Wide a, Wide b) { SY_EACH(Wide, a.v[i] * b.v[i]); }
SY_INLINE Wide halves(float low, float high) {
  SY_EACH(Wide, i < 2 ? (Four{low, low, low, low}) : (Four{high, high, high, high}));
}
#if defined(__aarch64__)
SY_INLINE WideInt widen(uint16x8_t low, uint16x8_t high) {
  return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_high_u16(low)),
           vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_high_u16(high))}};
}
SY_INLINE WideInt from_u8(const std::uint8_t* p) {
  const uint8x16_t v = vld1q_u8(p);
  return widen(vmovl_u8(vget_low_u8(v)), vmovl_high_u8(v));
}
SY_INLINE WideInt from_i8(const std::uint8_t* p) {
  const int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(v)), high = vmovl_high_s8(v);
  return {{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)}};
}
SY_INLINE WideInt from_u16(const std::uint8_t* p) {
  return widen(vreinterpretq_u16_u8(vld1q_u8(p)), vreinterpretq_u16_u8(vld1q_u8(p + 16)));
}
#else
template <class T>
SY_INLINE WideInt widen(const std::uint8_t* p) {
  T from[16];
  std::memcpy(from, p, sizeof from);
  SY_EACH(WideInt, (FourInt{from[4 * i], from[4 * i + 1], from[4 * i + 2], from[4 * i + 3]}));
}
SY_INLINE WideInt from_u8(const std::uint8_t* p) { return widen<std::uint8_t>(p); }
SY_INLINE WideInt from_i8(const std::uint8_t* p) { return widen<std::int8_t>(p); }
SY_INLINE WideInt from_u16(const std::uint8_t* p) { return widen<std::uint16_t>(p); }
#endif
SY_INLINE WideInt shift_left(WideInt a, int n) { SY_EACH(WideInt, a.v[i] << n); }
SY_INLINE WideInt shift_right(WideInt a, int n) { SY_EACH(WideInt, a.v[i] >> n); }  // lanes are never negative here
SY_INLINE WideInt both(WideInt a, int mask) { SY_EACH(WideInt, a.v[i] & mask); }
SY_INLINE Wide to_float(WideInt a) { SY_EACH(Wide, __builtin_convertvector(a.v[i], Four)); }
SY_INLINE Wide as_float(WideInt a) {
  Wide r;
  std::memcpy(r.v, a.v, sizeof r.v);
  return r;
}
#if defined(__aarch64__)
SY_INLINE Wide from_half(const std::uint8_t* p) {
  SY_EACH(Wide, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i))));
}
#else
SY_INLINE Wide from_half(const std::uint8_t* p) {
  // Exponent and mantissa in an f32's places are 2^-112 of the value, subnormals too; infinity and NaN keep their
  // exponent.
  WideInt h = from_u16(p), sign = shift_left(both(h, 0x8000), 16);
  Wide r;
  for (int i = 0; i < 4; ++i) {
    FourInt bits = (h.v[i] & 0x7fff) << 13;
    Four finite = (Four)bits * 0x1p112f;
    FourInt special = bits >= 0x0f800000;
    r.v[i] = (Four)((((FourInt)finite & ~special) | ((bits | 0x7f800000) & special)) | sign.v[i]);
  }
  return r;
}
#endif
SY_INLINE float sum(Wide a) {
  Four c = (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
  return (c[0] + c[2]) + (c[1] + c[3]);
}
#undef SY_EACH

#endif

// Thirty-two bytes, for taking packed bits apart before they are widened. Shifts move bits over a byte's border; a mask
// must follow.
#if defined(__AVX2__)
struct Bits {
  __m256i v;
};
SY_INLINE Bits load_bits(const std::uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
SY_INLINE void store_bits(std::uint8_t* p, Bits a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
SY_INLINE Bits shifted(Bits a, int left) {
  return {left >= 0 ? _mm256_slli_epi16(a.v, left) : _mm256_srli_epi16(a.v, -left)};
}
SY_INLINE Bits masked(Bits a, int mask) { return {_mm256_and_si256(a.v, _mm256_set1_epi8(static_cast<char>(mask)))}; }
SY_INLINE Bits joined(Bits a, Bits b) { return {_mm256_or_si256(a.v, b.v)}; }
SY_INLINE Bits less(Bits a, int b) { return {_mm256_sub_epi8(a.v, _mm256_set1_epi8(static_cast<char>(b)))}; }
#elif defined(__aarch64__)
struct Bits {
  uint8x16_t lo, hi;
};
SY_INLINE Bits load_bits(const std::uint8_t* p) { return {vld1q_u8(p), vld1q_u8(p + 16)}; }
SY_INLINE void store_bits(std::uint8_t* p, Bits a) {
  vst1q_u8(p, a.lo);
  vst1q_u8(p + 16, a.hi);
}
SY_INLINE Bits shifted(Bits a, int left) {
  if (left >= 0) return {a.lo << left, a.hi << left};
  return {a.lo >> -left, a.hi >> -left};
}
SY_INLINE Bits masked(Bits a, int mask) {
  const uint8x16_t m = vdupq_n_u8(static_cast<std::uint8_t>(mask));
  return {vandq_u8(a.lo, m), vandq_u8(a.hi, m)};
}
SY_INLINE Bits joined(Bits a, Bits b) { return {vorrq_u8(a.lo, b.lo), vorrq_u8(a.hi, b.hi)}; }
SY_INLINE Bits less(Bits a, int b) {
  const uint8x16_t v = vdupq_n_u8(static_cast<std::uint8_t>(b));
  return {vsubq_u8(a.lo, v), vsubq_u8(a.hi, v)};
}
#else
struct Bits {
  std::uint32_t v[8];
};
SY_INLINE Bits load_bits(const std::uint8_t* p) {
  Bits r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
SY_INLINE void store_bits(std::uint8_t* p, Bits a) { std::memcpy(p, a.v, sizeof a.v); }
SY_INLINE Bits shifted(Bits a, int left) {
  for (auto& v : a.v) v = left >= 0 ? v << left : v >> -left;
  return a;
}
SY_INLINE Bits masked(Bits a, int mask) {
  for (auto& v : a.v) v &= static_cast<std::uint32_t>(mask) * 0x01010101u;
  return a;
}
SY_INLINE Bits joined(Bits a, Bits b) {
  for (int i = 0; i < 8; ++i) a.v[i] |= b.v[i];
  return a;
}
SY_INLINE Bits less(Bits a, int b) {
  std::uint8_t bytes[32];
  std::memcpy(bytes, a.v, 32);
  for (auto& v : bytes) v = static_cast<std::uint8_t>(v - b);
  std::memcpy(a.v, bytes, 32);
  return a;
}
#endif

SY_INLINE float half_at(const std::uint8_t* p) {
#if defined(__AVX2__)
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return _cvtsh_ss(h);
#elif defined(__aarch64__)
  __fp16 h;
  std::memcpy(&h, p, 2);
  return h;
#else
  std::uint8_t bytes[32] = {p[0], p[1]};
  return from_half(bytes).v[0][0];
#endif
}

}  // namespace switchyard::kernels::SY_ISA
