// Unpackers of the eight weight types. A block is handled in `groups`, so that several rows can be unpacked side by
// side: Unpack<T>::Header head(block), then group(head, block, g, sink) calls sink(j, values) for lanes [16 j, 16 j +
// 16) of the block, in rising order of j. Values are exact (a k-quant's rounds once). The formats:
// kernels/common/quant.cpp.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/wide.h"

namespace switchyard::kernels::SY_ISA {

using Byte = std::uint8_t;
using hal::DType;

// elements of a block (for plain types: as many as are handled at once), its bytes, and those of one element (plain
// types).
template <DType type>
struct Unpack;

template <>
struct Unpack<DType::f32> {
  static constexpr unsigned elements = 16, bytes = 64, element_bytes = 4, groups = 1;
  struct Header {};
  SY_INLINE Header head(const Byte*) { return {}; }
  template <class Sink>
  SY_INLINE void group(Header, const Byte* b, int, Sink&& sink) {
    sink(0, load(reinterpret_cast<const float*>(b)));
  }
};

template <>
struct Unpack<DType::f16> {
  static constexpr unsigned elements = 16, bytes = 32, element_bytes = 2, groups = 1;
  struct Header {};
  SY_INLINE Header head(const Byte*) { return {}; }
  template <class Sink>
  SY_INLINE void group(Header, const Byte* b, int, Sink&& sink) {
    sink(0, from_half(b));
  }
};

template <>
struct Unpack<DType::bf16> {
  static constexpr unsigned elements = 16, bytes = 32, element_bytes = 2, groups = 1;
  struct Header {};
  SY_INLINE Header head(const Byte*) { return {}; }
  template <class Sink>
  SY_INLINE void group(Header, const Byte* b, int, Sink&& sink) {
    sink(0, as_float(shift_left(from_u16(b), 16)));
  }
};

template <>
struct Unpack<DType::q8_0> {
  static constexpr unsigned elements = 32, bytes = 34, element_bytes = 0, groups = 1;
  struct Header {
    float d;
  };
  SY_INLINE Header head(const Byte* b) { return {half_at(b)}; }
  template <class Sink>
  SY_INLINE void group(Header h, const Byte* b, int, Sink&& sink) {
    const Wide d = splat(h.d);
    sink(0, multiply(d, to_float(from_i8(b + 2))));
    sink(1, multiply(d, to_float(from_i8(b + 18))));
  }
};

// scale * n + offset for the sixteen values n may take, or computed where there is no such permutation. The products
// are exact in f32, so both are the same numbers.
struct Nibbles {
#if defined(__AVX512F__)
  __m512 table;
  SY_INLINE Nibbles make(float scale, float offset) {
    const __m512 n = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return {_mm512_fmadd_ps(_mm512_set1_ps(scale), n, _mm512_set1_ps(offset))};
  }
  // scale * (n - 8)
  SY_INLINE Nibbles centred(float scale) {
    const __m512 n = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm512_mul_ps(_mm512_set1_ps(scale), n)};
  }
  SY_METHOD Wide low(WideInt q) const { return {_mm512_permutexvar_ps(q.v, table)}; }  // reads 4 bits
  SY_METHOD Wide high(WideInt q) const { return low(shift_right(q, 4)); }
#else
  Wide scale, offset;
  SY_INLINE Nibbles make(float scale, float offset) { return {splat(scale), splat(offset)}; }
  SY_INLINE Nibbles centred(float scale) { return make(scale, -8.0f * scale); }
  SY_METHOD Wide low(WideInt q) const { return fma(scale, to_float(both(q, 15)), offset); }
  SY_METHOD Wide high(WideInt q) const { return fma(scale, to_float(shift_right(q, 4)), offset); }
#endif
};

template <>
struct Unpack<DType::q4_0> {
  static constexpr unsigned elements = 32, bytes = 18, element_bytes = 0, groups = 1;
  struct Header {
    float d;
  };
  SY_INLINE Header head(const Byte* b) { return {half_at(b)}; }
  template <class Sink>
  SY_INLINE void group(Header h, const Byte* b, int, Sink&& sink) {
    const Nibbles n = Nibbles::centred(h.d);
    WideInt q = from_u8(b + 2);
    sink(0, n.low(q));
    sink(1, n.high(q));
  }
};

// The scales and minimums of q4_k and q5_k: eight 6-bit numbers each, in twelve bytes, times d and -dmin.
struct Scales {
  float all[16];
  SY_METHOD float scale(int j) const { return all[j]; }
  SY_METHOD float min(int j) const { return all[8 + j]; }
  SY_INLINE Scales of(const Byte* b) {
    std::uint32_t w[3];
    std::memcpy(w, b + 4, 12);
    const std::uint32_t apart[4] = {w[0] & 0x3f3f3f3f, (w[2] & 0x0f0f0f0f) | (w[0] >> 2 & 0x30303030),
                                    w[1] & 0x3f3f3f3f, (w[2] >> 4 & 0x0f0f0f0f) | (w[1] >> 2 & 0x30303030)};
    Byte bytes[16];
    std::memcpy(bytes, apart, 16);
    Scales s;
    store(s.all, multiply(halves(half_at(b), -half_at(b + 2)), to_float(from_u8(bytes))));
    return s;
  }
};

template <>
struct Unpack<DType::q4_k> {
  static constexpr unsigned elements = 256, bytes = 144, element_bytes = 0, groups = 4;
  using Header = Scales;
  SY_INLINE Header head(const Byte* b) { return Scales::of(b); }
  template <class Sink>
  SY_INLINE void group(const Header& h, const Byte* b, int g, Sink&& sink) {
    const Nibbles low = Nibbles::make(h.scale(2 * g), h.min(2 * g)),
                  high = Nibbles::make(h.scale(2 * g + 1), h.min(2 * g + 1));
    const WideInt q0 = from_u8(b + 16 + 32 * g), q1 = from_u8(b + 32 + 32 * g);
    sink(4 * g, low.low(q0));
    sink(4 * g + 1, low.low(q1));
    sink(4 * g + 2, high.high(q0));
    sink(4 * g + 3, high.high(q1));
  }
};

template <>
struct Unpack<DType::q5_k> {
  static constexpr unsigned elements = 256, bytes = 176, element_bytes = 0, groups = 4;
  using Header = Scales;
  SY_INLINE Header head(const Byte* b) { return Scales::of(b); }
  template <class Sink>
  SY_INLINE void group(const Header& h, const Byte* b, int g, Sink&& sink) {
    const Bits q = load_bits(b + 48 + 32 * g), fifth = load_bits(b + 16);
    Byte n[64];
    store_bits(n, joined(masked(q, 15), masked(shifted(fifth, 4 - 2 * g), 16)));
    store_bits(n + 32, joined(masked(shifted(q, -4), 15), masked(shifted(fifth, 3 - 2 * g), 16)));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      sink(4 * g + i, fma(splat(h.scale(2 * g + i / 2)), to_float(from_u8(n + 16 * i)), splat(h.min(2 * g + i / 2))));
  }
};

template <>
struct Unpack<DType::q6_k> {
  static constexpr unsigned elements = 256, bytes = 210, element_bytes = 0, groups = 4;
  struct Header {
    float scale[16];
  };
  SY_INLINE Header head(const Byte* b) {
    Header h;
    store(h.scale, multiply(splat(half_at(b + 208)), to_float(from_i8(b + 192))));
    return h;
  }
  // Groups of 64: of a half, the first has the low nibbles and the second the high ones.
  template <class Sink>
  SY_INLINE void group(const Header& h, const Byte* b, int g, Sink&& sink) {
    const int half = g / 2, high = g % 2;
    const Bits q0 = load_bits(b + 64 * half), q1 = load_bits(b + 64 * half + 32), top = load_bits(b + 128 + 32 * half);
    Byte n[64];
    store_bits(n, less(joined(masked(shifted(q0, -4 * high), 15), masked(shifted(top, 4 - 4 * high), 48)), 32));
    store_bits(n + 32, less(joined(masked(shifted(q1, -4 * high), 15), masked(shifted(top, 2 - 4 * high), 48)), 32));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sink(4 * g + i, multiply(splat(h.scale[4 * g + i]), to_float(from_i8(n + 16 * i))));
  }
};

// One row of k elements: sink(i, values) for lanes [i, i + 16). Plain types may end in the middle: the rest of the last
// lanes is zero. Quantised rows are whole blocks.
template <DType type, class Sink>
SY_INLINE void unpack_row(const Byte* row, std::uint32_t k, Sink&& sink) {
  using U = Unpack<type>;
  std::uint32_t i = 0;
  for (; i + U::elements <= k; i += U::elements, row += U::bytes) {
    const auto head = U::head(row);
#pragma GCC unroll 4
    for (unsigned g = 0; g < U::groups; ++g)
      U::group(head, row, static_cast<int>(g),
               [&](int j, Wide v) SY_LAMBDA { sink(i + 16 * static_cast<std::uint32_t>(j), v); });
  }
  if constexpr (U::element_bytes != 0) {
    if (i == k) return;
    Byte last[U::bytes] = {};
    std::memcpy(last, row, (k - i) * U::element_bytes);
    U::group({}, last, 0, [&](int, Wide v) SY_LAMBDA { sink(i, v); });
  }
}

SY_INLINE std::uint64_t row_bytes_of(DType type, std::uint32_t k) {
  switch (type) {
    case DType::f32: return 4ull * k;
    case DType::f16:
    case DType::bf16: return 2ull * k;
    case DType::q8_0: return 34ull * (k / 32);
    case DType::q4_0: return 18ull * (k / 32);
    case DType::q4_k: return 144ull * (k / 256);
    case DType::q5_k: return 176ull * (k / 256);
    default: return 210ull * (k / 256);
  }
}

// Calls f with the type as a constant: with_type(type, [&](auto t) { unpack_row<t.value>(...); }).
template <DType t>
struct TypeConstant {
  static constexpr DType value = t;
};
template <class F>
SY_INLINE void with_type(DType type, F&& f) {
  switch (type) {
    case DType::f32: return f(TypeConstant<DType::f32>{});
    case DType::f16: return f(TypeConstant<DType::f16>{});
    case DType::bf16: return f(TypeConstant<DType::bf16>{});
    case DType::q8_0: return f(TypeConstant<DType::q8_0>{});
    case DType::q4_0: return f(TypeConstant<DType::q4_0>{});
    case DType::q4_k: return f(TypeConstant<DType::q4_k>{});
    case DType::q5_k: return f(TypeConstant<DType::q5_k>{});
    default: return f(TypeConstant<DType::q6_k>{});
  }
}

}  // namespace switchyard::kernels::SY_ISA
