// Dot products of rows of x with rows of packed weights, a tile of weight rows at a time.
//
// The order of every sum depends on K alone: element i goes to lane i % 16, lanes are added up in rising i, then
// sum()'s tree. One row takes the weights straight from their packed form; more rows share an unpacked copy in scratch.
// Both paths do the same operations on the same values, so a row's result has the same bits whatever rows stand beside
// it.
#pragma once
#include "kernels/common/cpu/dequant.h"
#include "kernels/common/cpu/tiles.h"

namespace switchyard::kernels::SY_ISA {

// Weight rows and x rows in registers at once: 16 lanes are 1 register of AVX-512, 2 of AVX2, 4 of SSE or NEON.
#if defined(__AVX512F__)
constexpr unsigned block_columns = 4, block_rows = 6;
#elif defined(__AVX2__)
constexpr unsigned block_columns = 2, block_rows = 3;
#else
constexpr unsigned block_columns = 2, block_rows = 2;
#endif
static_assert(block_rows <= tile_rows && 4 % block_columns == 0);

constexpr unsigned chunk_steps = 64;  // of 16 elements: x rows of one chunk stay in the first-level cache

struct Weights {
  const Byte* rows = nullptr;
  std::uint64_t stride = 0;  // bytes
  DType type = DType::f32;
  std::uint32_t k = 0;

  const Byte* row(std::uint64_t n) const { return rows + n * stride; }
};
SY_INLINE Weights weights(const void* rows, std::uint32_t type, std::uint32_t k) {
  auto t = static_cast<DType>(type);
  return {static_cast<const Byte*>(rows), row_bytes_of(t, k), t, k};
}

// C rows of weights times one row of x, unpacking on the way.
template <DType type, unsigned C>
SY_INLINE void dot_packed(const Byte* w, std::uint64_t stride, std::uint32_t k, const float* x, float* out) {
  using U = Unpack<type>;
  Wide total[C];
#pragma GCC unroll 4
  for (unsigned c = 0; c < C; ++c) total[c] = zero();
  std::uint32_t i = 0;
  for (; i + U::elements <= k; i += U::elements, w += U::bytes) {
    typename U::Header head[C];
#pragma GCC unroll 4
    for (unsigned c = 0; c < C; ++c) {
      head[c] = U::head(w + c * stride);
      // The rows after these: the processor's own prefetch does not keep up with short rows read side by side.
      for (unsigned line = 0; line < (U::bytes + 63) / 64; ++line) __builtin_prefetch(w + (c + C) * stride + 64 * line);
    }
#pragma GCC unroll 4
    for (unsigned g = 0; g < U::groups; ++g)
#pragma GCC unroll 4
      for (unsigned c = 0; c < C; ++c)
        U::group(head[c], w + c * stride, static_cast<int>(g),
                 [&](int j, Wide v) SY_LAMBDA { total[c] = fma(v, load(x + i + 16 * j), total[c]); });
  }
  if constexpr (U::element_bytes != 0)
    if (i < k) {
#pragma GCC unroll 4
      for (unsigned c = 0; c < C; ++c) {
        Byte last[U::bytes] = {};
        std::memcpy(last, w + c * stride, (k - i) * U::element_bytes);
        U::group({}, last, 0, [&](int, Wide v) SY_LAMBDA { total[c] = fma(v, load_first(x + i, k - i), total[c]); });
      }
    }
#pragma GCC unroll 4
  for (unsigned c = 0; c < C; ++c) out[c] = sum(total[c]);
}

static __attribute__((noinline)) void dot_packed_columns(const Weights& w, std::uint64_t first, std::uint32_t columns,
                                                         const float* x, float* out) {
  with_type(w.type, [&](auto type) SY_LAMBDA {
    std::uint32_t c = 0;
    for (; c + 4 <= columns; c += 4) dot_packed<decltype(type)::value, 4>(w.row(first + c), w.stride, w.k, x, out + c);
    for (; c < columns; ++c) dot_packed<decltype(type)::value, 1>(w.row(first + c), w.stride, w.k, x, out + c);
  });
}

// A panel: groups of block_columns weight rows, interleaved by 16 elements; what is missing at the ends is zero.
static __attribute__((noinline)) void unpack_panel(const Weights& w, std::uint64_t first, std::uint32_t columns,
                                                   float* panel) {
  const std::uint32_t steps = (w.k + 15) / 16;
  with_type(w.type, [&](auto type) SY_LAMBDA {
    for (std::uint32_t c = 0; c < columns; ++c) {
      float* to = panel + (c / block_columns * steps * block_columns + c % block_columns) * 16;
      unpack_row<decltype(type)::value>(w.row(first + c), w.k,
                                        [&](std::uint32_t i, Wide v) SY_LAMBDA { store(to + i * block_columns, v); });
    }
  });
  for (std::uint32_t c = columns; c % block_columns != 0; ++c) {
    float* to = panel + (c / block_columns * steps * block_columns + c % block_columns) * 16;
    for (std::uint32_t s = 0; s < steps; ++s) store(to + s * block_columns * 16, zero());
  }
}

// Adds 16 (end - begin) elements to the lanes of block_columns x R sums.
template <unsigned R>
static __attribute__((noinline)) void dot_block(const float* w, const float* const* x, std::uint32_t k,
                                                std::uint32_t begin, std::uint32_t end, float* sums) {
  Wide total[block_columns][R];
#pragma GCC unroll 16
  for (unsigned c = 0; c < block_columns; ++c)
#pragma GCC unroll 16
    for (unsigned r = 0; r < R; ++r) total[c][r] = begin ? load(sums + (c * R + r) * 16) : zero();
  const std::uint32_t whole = end * 16 <= k ? end : end - 1;
  for (std::uint32_t s = begin; s < whole; ++s) {
    Wide wide[block_columns];
#pragma GCC unroll 16
    for (unsigned c = 0; c < block_columns; ++c) wide[c] = load(w + (s * block_columns + c) * 16);
#pragma GCC unroll 16
    for (unsigned r = 0; r < R; ++r) {
      Wide v = load(x[r] + s * 16);
#pragma GCC unroll 16
      for (unsigned c = 0; c < block_columns; ++c) total[c][r] = fma(wide[c], v, total[c][r]);
    }
  }
  if (whole < end)
    for (unsigned r = 0; r < R; ++r) {
      Wide v = load_first(x[r] + whole * 16, k - whole * 16);
      for (unsigned c = 0; c < block_columns; ++c)
        total[c][r] = fma(load(w + (whole * block_columns + c) * 16), v, total[c][r]);
    }
#pragma GCC unroll 16
  for (unsigned c = 0; c < block_columns; ++c)
#pragma GCC unroll 16
    for (unsigned r = 0; r < R; ++r) store(sums + (c * R + r) * 16, total[c][r]);
}

// A panel of `columns` weight rows times R rows of x: out[column * R + row].
template <unsigned R>
static void dot_panel(const float* panel, std::uint32_t columns, std::uint32_t k, const float* const* x, float* sums,
                      float* out) {
  const std::uint32_t steps = (k + 15) / 16, groups = (columns + block_columns - 1) / block_columns;
  for (std::uint32_t begin = 0; begin < steps; begin += chunk_steps)
    for (std::uint32_t g = 0; g < groups; ++g)
      dot_block<R>(panel + g * steps * block_columns * 16, x, k, begin,
                   begin + chunk_steps < steps ? begin + chunk_steps : steps, sums + g * block_columns * R * 16);
  for (std::uint32_t i = 0; i < columns * R; ++i) out[i] = sum(load(sums + i * 16));
}

// For one or two matrices (up may be null) of one shape: emit(row, column, dot with w, dot with up), each pair once.
// x_row(r): the r-th of `rows` rows. scratch: tile_scratch() bytes, 64-byte aligned.
template <class XRow, class Emit>
SY_INLINE void dot_tile(const Weights& w, const Weights* up, std::uint64_t first, std::uint32_t columns,
                        std::int64_t rows, float* scratch, XRow&& x_row, Emit&& emit) {
  float a[most_tile_columns * tile_rows], b[most_tile_columns * tile_rows] = {};
  if (rows == 1) {
    dot_packed_columns(w, first, columns, x_row(0), a);
    if (up) dot_packed_columns(*up, first, columns, x_row(0), b);
    for (std::uint32_t c = 0; c < columns; ++c) emit(std::int64_t{0}, first + c, a[c], b[c]);
    return;
  }
  const std::uint32_t panel_floats = (columns + 3) / 4 * 4 * ((w.k + 15) / 16 * 16);
  float* panel_up = scratch + panel_floats;
  float* sums = panel_up + (up ? panel_floats : 0);
  unpack_panel(w, first, columns, scratch);
  if (up) unpack_panel(*up, first, columns, panel_up);
  for (std::int64_t t = 0; t < rows;) {
    const std::int64_t left = rows - t;
    const auto count = static_cast<std::uint32_t>(left < block_rows ? left : block_rows);
    const float* x[block_rows];
    for (std::uint32_t r = 0; r < count; ++r) x[r] = x_row(t + r);
    auto run = [&](const float* panel, float* out) SY_LAMBDA {
      switch (count) {
        case 1: return dot_panel<1>(panel, columns, w.k, x, sums, out);
        case 2: return dot_panel<2>(panel, columns, w.k, x, sums, out);
#if defined(__AVX2__)
        case 3: return dot_panel<3>(panel, columns, w.k, x, sums, out);
#endif
#if defined(__AVX512F__)
        case 4: return dot_panel<4>(panel, columns, w.k, x, sums, out);
        case 5: return dot_panel<5>(panel, columns, w.k, x, sums, out);
        default: return dot_panel<6>(panel, columns, w.k, x, sums, out);
#else
        default: return;
#endif
      }
    };
    run(scratch, a);
    if (up) run(panel_up, b);
    for (std::uint32_t r = 0; r < count; ++r)
      for (std::uint32_t c = 0; c < columns; ++c) emit(t + r, first + c, a[c * count + r], b[c * count + r]);
    t += count;
  }
}

}  // namespace switchyard::kernels::SY_ISA
