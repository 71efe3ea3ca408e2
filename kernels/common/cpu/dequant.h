// Unpackers of the eight weight types: Unpack<T>::block(bytes, sink) calls sink(j, values) for lanes [16 j, 16 j + 16) of
// one block, in rising order of j, with the exact values (a k-quant's rounds once). The formats: kernels/common/quant.cpp.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/wide.h"

namespace switchyard::kernels::SY_ISA {

using Byte = std::uint8_t;
using hal::DType;

// elements of a block (for plain types: as many as are handled at once), bytes of it.
template <DType type>
struct Unpack;

template <>
struct Unpack<DType::f32> {
  static constexpr unsigned elements = 16, bytes = 64, element_bytes = 4;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    sink(0, load(reinterpret_cast<const float*>(b)));
  }
};

template <>
struct Unpack<DType::f16> {
  static constexpr unsigned elements = 16, bytes = 32, element_bytes = 2;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    sink(0, from_half(b));
  }
};

template <>
struct Unpack<DType::bf16> {
  static constexpr unsigned elements = 16, bytes = 32, element_bytes = 2;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    sink(0, as_float(shift_left(from_u16(b), 16)));
  }
};

template <>
struct Unpack<DType::q8_0> {
  static constexpr unsigned elements = 32, bytes = 34, element_bytes = 0;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    Wide d = splat(half_at(b));
    sink(0, multiply(d, to_float(from_i8(b + 2))));
    sink(1, multiply(d, to_float(from_i8(b + 18))));
  }
};

// scale * n + offset for the sixteen values n may take, or computed where there is no such permutation. The products are
// exact in f32, so both are the same numbers.
struct Nibbles {
#if defined(__AVX512F__)
  __m512 table;
  SY_INLINE Nibbles make(float scale, float offset) {
    const __m512 n = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return {_mm512_fmadd_ps(_mm512_set1_ps(scale), n, _mm512_set1_ps(offset))};
  }
  SY_METHOD Wide low(WideInt q) const { return {_mm512_permutexvar_ps(q.v, table)}; }  // reads 4 bits
  SY_METHOD Wide high(WideInt q) const { return low(shift_right(q, 4)); }
#else
  Wide scale, offset;
  SY_INLINE Nibbles make(float scale, float offset) { return {splat(scale), splat(offset)}; }
  SY_METHOD Wide low(WideInt q) const { return fma(scale, to_float(both(q, 15)), offset); }
  SY_METHOD Wide high(WideInt q) const { return fma(scale, to_float(shift_right(q, 4)), offset); }
#endif
};

template <>
struct Unpack<DType::q4_0> {
  static constexpr unsigned elements = 32, bytes = 18, element_bytes = 0;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    float d = half_at(b);
    Nibbles n = Nibbles::make(d, -8.0f * d);
    WideInt q = from_u8(b + 2);
    sink(0, n.low(q));
    sink(1, n.high(q));
  }
};

// The scales and minimums of q4_k and q5_k: eight 6-bit numbers each, in twelve bytes.
struct Scales {
  std::uint64_t scale, min;  // a byte each
  SY_INLINE Scales unpack(const Byte* b) {
    std::uint32_t w[3];
    std::memcpy(w, b, 12);
    auto join = [](std::uint32_t low, std::uint32_t high) SY_LAMBDA { return low | static_cast<std::uint64_t>(high) << 32; };
    return {join(w[0] & 0x3f3f3f3f, (w[2] & 0x0f0f0f0f) | (w[0] >> 2 & 0x30303030)),
            join(w[1] & 0x3f3f3f3f, (w[2] >> 4 & 0x0f0f0f0f) | (w[1] >> 2 & 0x30303030))};
  }
  SY_METHOD float scale_at(int j) const { return static_cast<float>(static_cast<std::int32_t>(scale >> (8 * j) & 63)); }
  SY_METHOD float min_at(int j) const { return static_cast<float>(static_cast<std::int32_t>(min >> (8 * j) & 63)); }
};

template <>
struct Unpack<DType::q4_k> {
  static constexpr unsigned elements = 256, bytes = 144, element_bytes = 0;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    const float d = half_at(b), m = half_at(b + 2);
    const Scales s = Scales::unpack(b + 4);
    for (int g = 0; g < 4; ++g) {
      Nibbles low = Nibbles::make(d * s.scale_at(2 * g), -(m * s.min_at(2 * g)));
      Nibbles high = Nibbles::make(d * s.scale_at(2 * g + 1), -(m * s.min_at(2 * g + 1)));
      WideInt q0 = from_u8(b + 16 + 32 * g), q1 = from_u8(b + 32 + 32 * g);
      sink(4 * g, low.low(q0));
      sink(4 * g + 1, low.low(q1));
      sink(4 * g + 2, high.high(q0));
      sink(4 * g + 3, high.high(q1));
    }
  }
};

template <>
struct Unpack<DType::q5_k> {
  static constexpr unsigned elements = 256, bytes = 176, element_bytes = 0;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    const float d = half_at(b), m = half_at(b + 2);
    const Scales s = Scales::unpack(b + 4);
    const WideInt h0 = from_u8(b + 16), h1 = from_u8(b + 32);
    for (int g = 0; g < 4; ++g) {
      Wide scale0 = splat(d * s.scale_at(2 * g)), min0 = splat(-(m * s.min_at(2 * g)));
      Wide scale1 = splat(d * s.scale_at(2 * g + 1)), min1 = splat(-(m * s.min_at(2 * g + 1)));
      WideInt q0 = from_u8(b + 48 + 32 * g), q1 = from_u8(b + 64 + 32 * g);
      auto fifth = [](WideInt h, int bit) SY_LAMBDA { return both(bit < 4 ? shift_left(h, 4 - bit) : shift_right(h, bit - 4), 16); };
      sink(4 * g, fma(scale0, to_float(either(both(q0, 15), fifth(h0, 2 * g))), min0));
      sink(4 * g + 1, fma(scale0, to_float(either(both(q1, 15), fifth(h1, 2 * g))), min0));
      sink(4 * g + 2, fma(scale1, to_float(either(shift_right(q0, 4), fifth(h0, 2 * g + 1))), min1));
      sink(4 * g + 3, fma(scale1, to_float(either(shift_right(q1, 4), fifth(h1, 2 * g + 1))), min1));
    }
  }
};

template <>
struct Unpack<DType::q6_k> {
  static constexpr unsigned elements = 256, bytes = 210, element_bytes = 0;
  template <class Sink>
  SY_INLINE void block(const Byte* b, Sink&& sink) {
    const float d = half_at(b + 208);
    for (int half = 0; half < 2; ++half) {
      const Byte* low = b + 64 * half;
      const Byte* scales = b + 192 + 8 * half;
      for (int quarter = 0; quarter < 4; ++quarter)
        for (int part = 0; part < 2; ++part) {
          const float scale = d * static_cast<float>(static_cast<std::int8_t>(scales[2 * quarter + part]));
          WideInt q = from_u8(low + 32 * (quarter % 2) + 16 * part), h = from_u8(b + 128 + 32 * half + 16 * part);
          q = quarter < 2 ? both(q, 15) : shift_right(q, 4);
          h = both(quarter < 2 ? shift_left(h, 4 - 2 * quarter) : shift_right(h, 2 * quarter - 4), 48);
          sink(8 * half + 2 * quarter + part, fma(splat(scale), to_float(either(q, h)), splat(-32.0f * scale)));
        }
    }
  }
};

// One row of k elements: sink(i, values) for lanes [i, i + 16). Plain types may end in the middle: the rest of the last
// lanes is zero. Quantised rows are whole blocks.
template <DType type, class Sink>
SY_INLINE void unpack_row(const Byte* row, std::uint32_t k, Sink&& sink) {
  using U = Unpack<type>;
  std::uint32_t i = 0;
  for (; i + U::elements <= k; i += U::elements, row += U::bytes)
    U::block(row, [&](int j, Wide v) SY_LAMBDA { sink(i + 16 * static_cast<std::uint32_t>(j), v); });
  if constexpr (U::element_bytes != 0) {
    if (i == k) return;
    Byte last[U::bytes] = {};
    std::memcpy(last, row, (k - i) * U::element_bytes);
    U::block(last, [&](int, Wide v) SY_LAMBDA { sink(i, v); });
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
