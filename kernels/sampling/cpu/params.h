#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::sampling {

struct CpuParams {
  CpuRows rows;
  std::uint32_t vocabulary;
  std::int32_t top_k;
  float temperature, top_p;
};

}  // namespace switchyard::kernels::sampling
