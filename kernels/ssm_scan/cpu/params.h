#pragma once
#include <cstdint>

namespace switchyard::kernels::ssm_scan {

struct CpuParams {
  std::int32_t sequences_symbol, heads, head_dim, groups, state, dt_width, dt_offset, block;
  float dt_min, dt_max;
};

}  // namespace switchyard::kernels::ssm_scan
