#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::embedding {

struct CpuParams {
  CpuRows rows;
  std::uint32_t width, dtype;
  std::uint32_t group_bytes;  // of rows16 groups; 0: rows as they are
  float scale;
};

constexpr std::uint32_t rows_per_tile = 4;

}  // namespace switchyard::kernels::embedding
