#pragma once
#include <cstdint>

#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::ssm_scan {

// C[t] . B[t - d] for d below this, per row t and group: a chunk of no instruction set is longer.
constexpr std::int32_t products_of_row = 8;

struct CpuParams {
  CpuRows rows;
  std::int32_t sequences_symbol, heads, head_dim, groups, state, dt_width, dt_offset, block;
  float dt_min, dt_max;
};

}  // namespace switchyard::kernels::ssm_scan
