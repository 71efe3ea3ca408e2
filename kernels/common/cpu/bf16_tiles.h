// multiply_pair of bf16.h in tiles (tiles_amx.h), whatever the number of rows: a tile adds in another order than
// bf16.h, and a row must have the same bits alone and beside others. Per 32 of K: the sum of the even products and that
// of the odd ones, in rising order and f32, then total = total + (even + odd); subnormals as zero.
#pragma once
#include "kernels/common/cpu/bf16.h"
#include "kernels/common/cpu/tiles_amx.h"

namespace switchyard::kernels::SY_ISA {

constexpr unsigned tile_rows = 16;

// Rows at one distance from each other can be loaded where they lie; 0: they cannot.
SY_INLINE std::int64_t distance_of(const Byte* const* row, unsigned count) {
  if (count == 1) return 64;
  const std::int64_t distance = row[1] - row[0];
  for (unsigned c = 2; c < count; ++c)
    if (row[c] - row[c - 1] != distance) return 0;
  return distance;
}

// Two groups times `count` rows in R tiles: out[(g * 2 * tile_rows + c) * 16 + lane]. Tiles: g + 2 r the totals, 4 + r
// the rows, 6 + g the weights.
template <unsigned R>
static __attribute__((noinline)) void store_in_tiles(Tiles& tiles, const Byte* const (&w)[2], std::uint32_t k,
                                                     const Byte* const* row, unsigned count, float* out) {
  alignas(64) Byte side_by_side[R * tile_rows][64];
  const std::int64_t distance = distance_of(row, count), apart = distance != 0 ? distance : 64;
  tiles.zero<0>();
  tiles.zero<1>();
  if constexpr (R == 2) tiles.zero<2>(), tiles.zero<3>();
  for (std::uint32_t j = 0; j < k / 32; ++j) {
    if constexpr (R == 1)  // with few rows the weights come from memory
      for (unsigned line = 0; line < 16; ++line)
        for (unsigned g = 0; g < 2; ++g) __builtin_prefetch(w[g] + 1024 * j + 64 * line + read_ahead_bytes);
    const Byte* from = row[0] + 64 * j;
    if (distance == 0) {
      for (unsigned c = 0; c < count; ++c) std::memcpy(side_by_side[c], row[c] + 64 * j, 64);
      from = side_by_side[0];
    }
    tiles.load<6>(w[0] + 1024 * j, 64);
    tiles.load<7>(w[1] + 1024 * j, 64);
    tiles.load<4>(from, apart);
    tiles.dot_bf16<0, 4, 6>();
    tiles.dot_bf16<1, 4, 7>();
    if constexpr (R == 2) {
      tiles.load<5>(from + tile_rows * apart, apart);
      tiles.dot_bf16<2, 5, 6>();
      tiles.dot_bf16<3, 5, 7>();
    }
  }
  constexpr unsigned tile = tile_rows * 16;
  tiles.store<0>(out, 64);
  tiles.store<1>(out + 2 * tile, 64);
  if constexpr (R == 2) tiles.store<2>(out + tile, 64), tiles.store<3>(out + 3 * tile, 64);
}

template <class Row, class Emit>
SY_INLINE void multiply_pair(DType, const Byte* const (&w)[2], std::uint32_t k, std::int64_t rows, Row&& row_at,
                             Emit&& emit) {
  constexpr unsigned most = 2 * tile_rows;
  alignas(64) float out[2 * most * 16];
  Tiles tiles;
  unsigned count = 0, shaped = 0;
  for (std::int64_t first = 0; first < rows; first += count) {
    count = rows - first < most ? static_cast<unsigned>(rows - first) : most;
    const Byte* row[most];
    for (unsigned c = 0; c < count; ++c) row[c] = row_at(first + c);
    const bool two = count > tile_rows;
    if (count != shaped) {
      const auto low = static_cast<std::uint8_t>(two ? tile_rows : count),
                 high = static_cast<std::uint8_t>(count - low);
      const TileShape a{low, 64}, b{high, static_cast<std::uint16_t>(two ? 64 : 0)}, weights{16, 64};
      tiles.configure({a, a, b, b, a, b, weights, weights});
      shaped = count;
    }
    if (two)
      store_in_tiles<2>(tiles, w, k, row, count, out);
    else
      store_in_tiles<1>(tiles, w, k, row, count, out);
    for (unsigned c = 0; c < count; ++c) emit(first + c, out + c * 16, out + (most + c) * 16);
  }
}

}  // namespace switchyard::kernels::SY_ISA
