// How matrix kernels cut their work, shared by launch.cpp and the kernels. No choice made here changes a result's bits.
#pragma once
#include <cstdint>

namespace switchyard::kernels {

// Rows of x that meet a tile of weights at once, at most; scratch is laid out for it.
constexpr std::uint32_t tile_rows = 6;
constexpr std::uint32_t most_tile_columns = 16;

// Weight rows of one tile (a multiple of 4): few enough that a small matrix still makes tiles for every core, and that
// an unpacked tile stays near 256 KiB.
static inline std::uint32_t tile_columns(std::uint32_t n, std::uint32_t k) {
  std::uint32_t columns = most_tile_columns;
  while (columns > 4 && (static_cast<std::uint64_t>(columns) * k * 4 > 256 * 1024 || n / columns < 32)) columns -= 4;
  return columns;
}

// Bytes of thread_scratch for a tile of one matrix (or two, gate and up).
static inline std::uint32_t tile_scratch(std::uint32_t columns, std::uint32_t k, bool two) {
  std::uint32_t panel = columns * ((k + 15) / 16 * 16);
  return 4 * (two ? 2 : 1) * (panel + columns * tile_rows * 16);
}

}  // namespace switchyard::kernels
