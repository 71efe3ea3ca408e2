// Keys and values as they lie in pages, in any type they are kept in.
#pragma once
#include "hal/call.h"
#include "kernels/attention/cpu/params.h"
#include "kernels/common/cpu/rounded_rows.h"
#include "kernels/common/cpu/vec.h"

namespace switchyard::kernels::SY_ISA {

using hal::DType;
using kernels::attention::chunk_positions;
using kernels::attention::CpuParams;

constexpr std::int64_t at_once = 16;  // positions whose keys or values are worked on together
constexpr std::int64_t ahead = 12;    // positions that are asked for before they are read

static inline float half_to_float(const std::uint8_t* p) {
#if SY_ISA_avx512 || SY_ISA_avx2
  std::uint16_t h;
  std::memcpy(&h, p, 2);
  return _cvtsh_ss(h);
#else
  std::uint16_t h[lanes] = {};
  std::memcpy(h, p, 2);
  return load_f16(h)[0];
#endif
}

// A head's row; at(j): elements [j, j + lanes), j a multiple of lanes.
template <DType kept>
struct Row;
template <>
struct Row<DType::f32> {
  const std::uint8_t* data;
  vec at(std::int64_t j) const { return load(reinterpret_cast<const float*>(data) + j); }
};
template <>
struct Row<DType::f16> {
  const std::uint8_t* data;
  vec at(std::int64_t j) const { return load_f16(reinterpret_cast<const std::uint16_t*>(data) + j); }
};
template <>
struct Row<DType::q8_0> {
  const std::uint8_t* data;
  vec at(std::int64_t j) const {
    const std::uint8_t* block = data + j / 32 * 34;
    return load_i8(reinterpret_cast<const std::int8_t*>(block + 2 + j % 32)) * half_to_float(block);
  }
};

// f with a Row's type as a constant.
template <class F>
inline void with_kept(DType kept, F&& f) {
  switch (kept) {
    case DType::f32: return f(std::integral_constant<DType, DType::f32>{});
    case DType::f16: return f(std::integral_constant<DType, DType::f16>{});
    default: return f(std::integral_constant<DType, DType::q8_0>{});
  }
}

// n new elements, all heads of a position.
static inline void keep_row(DType kept, const float* from, std::int64_t n, std::uint8_t* to) {
  if (kept == DType::f32) {
    std::memcpy(to, from, static_cast<std::size_t>(n) * 4);
    return;
  }
  if (kept == DType::f16) {
    std::int64_t i = 0;
    auto* halves = reinterpret_cast<std::uint16_t*>(to);
    for (; i + lanes <= n; i += lanes) store_f16(halves + i, load(from + i));
    if (i < n) {
      std::uint16_t rest[lanes];
      store_f16(rest, load_part(from + i, n - i));
      std::memcpy(halves + i, rest, static_cast<std::size_t>(n - i) * 2);
    }
    return;
  }
  for (std::int64_t b = 0; b < n / 32; ++b, from += 32, to += 34) {
    RoundedBlock block;
    round_block(from, reinterpret_cast<std::int8_t*>(to + 2), &block);
    std::uint16_t scale[lanes];
    store_f16(scale, splat(block.scale));
    std::memcpy(to, scale, 2);
  }
}

// Pages of the kv heads [head, head + heads).
struct Pages {
  const CpuParams& p;
  const void* data;
  std::int64_t head, heads;

  const std::uint8_t* head_row(std::int64_t row, std::int64_t h) const {
    return static_cast<const std::uint8_t*>(data) + p.bytes((row * p.kv_heads + head + h) * p.head_dim);
  }

  // Asks memory for a position's row, all kv heads of it.
  void fetch(std::int64_t row) const {
    const std::uint8_t* from = head_row(row, 0);
    for (std::int64_t i = 0; i < p.bytes(heads * p.head_dim); i += 64) __builtin_prefetch(from + i);
  }

  // As padded f32; head h goes to to + h * stride.
  void read(std::int64_t row, float* to, std::int64_t stride) const {
    const std::int64_t d = p.head_dim;
    with_kept(p.kept, [&](auto kept) {
      for (std::int64_t h = 0; h < heads; ++h, to += stride) {
        const Row<decltype(kept)::value> from{head_row(row, h)};
        std::int64_t i = 0;
        for (; i + lanes <= d; i += lanes) store(to + i, from.at(i));
        if (i < d) {  // never of q8_0
          std::uint8_t rest[4 * lanes] = {};
          std::memcpy(rest, from.data + p.bytes(i), static_cast<std::size_t>(p.bytes(d - i)));
          store(to + i, Row<decltype(kept)::value>{rest}.at(0));
          i += lanes;
        }
        for (; i < p.padded_dim; i += lanes) store(to + i, vec{});
      }
    });
  }
};

// The rows of the pages that hold positions [begin, begin + n).
struct Places {
  std::int64_t row[chunk_positions];
  Places(const CpuParams& p, const std::int32_t* table, std::int64_t begin, std::int64_t n) {
    std::int64_t page = begin / p.page_size, offset = begin % p.page_size;
    for (std::int64_t i = 0; i < n; ++i, ++offset) {
      if (offset == p.page_size) ++page, offset = 0;
      row[i] = std::int64_t{table[page]} * p.page_size + offset;
    }
  }
};

}  // namespace switchyard::kernels::SY_ISA
