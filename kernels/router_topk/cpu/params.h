#pragma once
#include "kernels/common/cpu/rows.h"

namespace switchyard::kernels::router_topk {

struct CpuParams {
  CpuRows rows;
  std::uint32_t experts, k;
};

constexpr std::uint32_t rows_per_tile = 8;

}  // namespace switchyard::kernels::router_topk
