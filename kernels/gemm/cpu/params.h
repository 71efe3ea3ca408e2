#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::gemm {

struct CpuParams {
  CpuRows rows;
  std::uint32_t k, n, dtype, tile;
  float scale;
};

}  // namespace switchyard::kernels::gemm
