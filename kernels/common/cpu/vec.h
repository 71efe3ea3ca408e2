// One vector type per instruction set: `vec` has `lanes` floats (16, 8 or 4). Written with the compiler's vector types,
// so that what happens to an element depends on its index alone, never on alignment or on where a loop was cut.
// Everything here has internal linkage: each instruction set has its own.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

#if SY_ISA_avx2 || SY_ISA_avx512
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

namespace switchyard::kernels::SY_ISA {

#if SY_ISA_avx512
constexpr int lanes = 16;
#elif SY_ISA_avx2
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef float vec __attribute__((vector_size(4 * lanes)));
typedef std::int32_t ivec __attribute__((vector_size(4 * lanes)));

static inline vec load(const float* p) {
  vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, vec v) { std::memcpy(p, &v, sizeof v); }
static inline vec splat(float x) { return vec{} + x; }

// The first n lanes, the others zero; n may be 0 .. lanes.
static inline vec load_part(const float* p, std::int64_t n) {
  if (n == lanes) return load(p);
  vec v{};
  std::memcpy(&v, p, static_cast<std::size_t>(n) * 4);
  return v;
}
static inline void store_part(float* p, vec v, std::int64_t n) {
  if (n == lanes) return store(p, v);
  std::memcpy(p, &v, static_cast<std::size_t>(n) * 4);
}

static inline vec max(vec a, vec b) { return a > b ? a : b; }
static inline vec min(vec a, vec b) { return a < b ? a : b; }

// Sums of groups: a and b hold groups of G lanes; the result holds groups of G/2, from a and b in turn, each of them
// the sum of its group's two halves.
template <int G, int... I>
static inline vec fold_(vec a, vec b, std::integer_sequence<int, I...>) {
  constexpr auto pick = [](int i, int half) {
    const int h = G / 2, group = i / h, lane = i % h;
    return (group % 2) * lanes + group / 2 * G + half * h + lane;
  };
  return __builtin_shufflevector(a, b, pick(I, 0)...) + __builtin_shufflevector(a, b, pick(I, 1)...);
}
template <int G>
static inline vec fold(vec a, vec b) {
  return fold_<G>(a, b, std::make_integer_sequence<int, lanes>{});
}

// Lane i of the result is the sum over the lanes of v[i]; v is used up. The order of the sum is the same for every row.
static inline vec sums(vec* v) {
  if constexpr (lanes == 16)
    for (int i = 0; i < 8; ++i) v[i] = fold<16>(v[i], v[i + 8]);
  if constexpr (lanes >= 8)
    for (int i = 0; i < 4; ++i) v[i] = fold<8>(v[i], v[i + 4]);
  for (int i = 0; i < 2; ++i) v[i] = fold<4>(v[i], v[i + 2]);
  return fold<2>(v[0], v[1]);
}

// v[i] lane j becomes v[j] lane i: each round lays the lanes of the two halves of v side by side.
template <int... I>
static inline void zip_(vec a, vec b, vec& first, vec& second, std::integer_sequence<int, I...>) {
  first = __builtin_shufflevector(a, b, (I % 2 * lanes + I / 2)...);
  second = __builtin_shufflevector(a, b, (I % 2 * lanes + lanes / 2 + I / 2)...);
}
static inline void transpose(vec (&v)[lanes]) {
  for (int round = 1; round < lanes; round *= 2) {
    vec w[lanes];
#pragma GCC unroll 8
    for (int i = 0; i < lanes / 2; ++i)
      zip_(v[i], v[i + lanes / 2], w[2 * i], w[2 * i + 1], std::make_integer_sequence<int, lanes>{});
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) v[i] = w[i];
  }
}
static inline float sum(vec v) {
  float x[lanes];
  store(x, v);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) x[i] += x[i + width];
  return x[0];
}
static inline float largest(vec v) {
  float x[lanes];
  store(x, v);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
  return x[0];
}

// As kernels/common/cpu/math.h, lane by lane.
static inline vec exp(vec x) {
  x = min(x, splat(89.0f));
  x = max(x, splat(-104.0f));
  vec shifted = x * 1.44269504f + 12582912.0f;
  vec n = shifted - 12582912.0f;
  vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  ivec exponent = (ivec)shifted - 0x4b400000;
  ivec half = exponent >> 1, rest = exponent - half;
  return p * (vec)((half + 127) << 23) * (vec)((rest + 127) << 23);
}
static inline vec silu(vec x) { return x / (1.0f + exp(-x)); }
static inline vec softplus(vec x) {
  vec y = exp(x < 0.0f ? x : -x);
  vec s = y / (2.0f + y), q = s * s;
  vec p = splat(1.0f / 15);
  p = p * q + 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  return max(x, vec{}) + 2.0f * (s + s * (q * p));
}

static inline vec load_i8(const std::int8_t* p) {
#if SY_ISA_avx512
  return (vec)_mm512_maskz_cvtepi32_ps(
      0xffff, _mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif SY_ISA_avx2
  return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  ivec n;
  for (int i = 0; i < lanes; ++i) n[i] = p[i];
  return __builtin_convertvector(n, vec);
#endif
}

// IEEE half, to and from (nearest, ties to even).
static inline vec load_f16(const std::uint16_t* p) {
#if SY_ISA_avx512
  return (vec)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif SY_ISA_avx2
  return (vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__aarch64__)
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  ivec h;
  for (int i = 0; i < lanes; ++i) h[i] = p[i];
  const ivec sign = (h & 0x8000) << 16, bits = (h & 0x7fff) << 13;
  // Moving the exponent by a product also sets subnormals right; what was infinity or NaN gets the largest exponent
  // back.
  const ivec value = (ivec)((vec)bits * 5.192296858534828e33f);
  return (vec)((value | ((bits >= 0x0f800000) & 0x7f800000)) | sign);
#endif
}
static inline void store_f16(std::uint16_t* p, vec v) {
#if SY_ISA_avx512
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif SY_ISA_avx2
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__aarch64__)
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
#else
  for (int i = 0; i < lanes; ++i) {
    std::uint32_t x;
    std::memcpy(&x, reinterpret_cast<const char*>(&v) + 4 * i, 4);
    const std::uint32_t sign = (x >> 16) & 0x8000u, magnitude = x & 0x7fffffffu;
    std::uint32_t h;
    if (magnitude > 0x7f800000u) {
      h = 0x7e00u;
    } else if (magnitude >= 0x477ff000u) {
      h = 0x7c00u;
    } else if (magnitude >= 0x38800000u) {
      h = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    } else {
      // Adding 0.5 leaves the subnormal's bits, rounded by the adder, at the end of the sum.
      float f;
      std::memcpy(&f, &magnitude, 4);
      f += 0.5f;
      std::uint32_t g;
      std::memcpy(&g, &f, 4);
      h = g - 0x3f000000u;
    }
    p[i] = static_cast<std::uint16_t>(h | sign);
  }
#endif
}

}  // namespace switchyard::kernels::SY_ISA

#pragma GCC diagnostic pop
