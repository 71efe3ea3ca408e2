#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::expert_gemm {

// One for all four launches.
struct CpuParams {
  CpuRows rows;
  std::uint32_t k, slots, width, inner;  // D and I
  std::uint32_t dtype, down_dtype;
  std::uint32_t tile, down_tile;  // weight rows of a tile
  std::uint32_t separate_up;      // 0: up rows stand behind the gate rows of the same matrix
  float scale;
};

// Rows of an expert whose gate and up products wait in thread_scratch to be rounded.
constexpr std::int64_t hidden_strip = 48;

// The temporary `plan`, i32: [0] the number of slots that have rows | those slots, rising | per slot, where its entries
// begin, and the end | entries (t k + j) sorted by slot, of one slot in rising order.
constexpr std::uint32_t plan_active = 1;
static inline std::uint32_t plan_begin(std::uint32_t slots) { return 1 + slots; }
static inline std::uint32_t plan_entries(std::uint32_t slots) { return 2 + 2 * slots; }

}  // namespace switchyard::kernels::expert_gemm
