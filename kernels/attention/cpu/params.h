#pragma once
#include <cstdint>

namespace switchyard::kernels::attention {

// Contexts are worked through in chunks of so many positions; the softmax of a row is merged chunk by chunk, in order, so its
// bits depend on its own context alone, whether its chunks were done by one thread or by many.
constexpr std::int32_t chunk_positions = 512;
constexpr std::int32_t block_rows = 8;   // rows of one sequence that share every key they load
constexpr std::int32_t split_rows = 8;   // steps of so few rows are split over their contexts too
constexpr std::int32_t most_parts = 32;  // pieces a context is split into, each of every 32nd chunk

struct CpuParams {
  std::int32_t rows_symbol, sequences_symbol, heads, kv_heads, head_dim, padded_dim, page_size, columns, half;
  std::int32_t chunks, parts;  // of the longest context
  float scale;
};

}  // namespace switchyard::kernels::attention
