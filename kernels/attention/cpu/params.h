#pragma once
#include <cstdint>

#include "hal/call.h"

namespace switchyard::kernels::attention {

// Contexts are worked through in chunks of so many positions; the softmax of a row is merged chunk by chunk, in order,
// so its bits depend on its own context alone, whether its chunks were done by one thread or by many.
constexpr std::int32_t chunk_positions = 256;
constexpr std::int32_t block_rows = 8;   // rows of one sequence that share every key they load
constexpr std::int32_t split_rows = 4;   // steps of so few rows are split over their contexts too
constexpr std::int32_t most_parts = 64;  // pieces a context is split into, each of every 64th chunk

struct CpuParams {
  std::int32_t rows_symbol, sequences_symbol, heads, kv_heads, head_dim, padded_dim, page_size, columns;
  hal::DType kept;             // what pages hold: f32, f16 or q8_0
  std::int32_t chunks, parts;  // of the longest context
  std::int32_t enough_tiles;   // to keep all threads of the device busy
  float scale;

  // Of n elements in a page; q8_0: whole blocks of 32, or the begin of the block that n lies in.
  std::int64_t bytes(std::int64_t n) const {
    return kept == hal::DType::f32 ? 4 * n : kept == hal::DType::f16 ? 2 * n : n / 32 * 34;
  }

  // Every sequence may leave its last block unfilled; a block has a row at least.
  std::int64_t blocks(std::int64_t rows, std::int64_t sequences) const {
    const std::int64_t most = (rows + block_rows - 1) / block_rows + sequences;
    return rows < most ? rows : most;
  }
  // All kv heads in one tile read the pages from one end to the other; one each only where there would be too few
  // tiles.
  std::int64_t head_parts(std::int64_t count_of_blocks) const { return count_of_blocks < enough_tiles ? kv_heads : 1; }
};

}  // namespace switchyard::kernels::attention
