#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::add {

struct CpuParams {
  CpuRows rows;
  std::int32_t width;
};

}  // namespace switchyard::kernels::add
