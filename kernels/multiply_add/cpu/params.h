#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::multiply_add {

struct CpuParams {
  CpuRows rows;
  std::uint32_t products;
};

}  // namespace switchyard::kernels::multiply_add
