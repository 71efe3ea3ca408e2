#pragma once
#include <cstdint>

namespace switchyard::kernels::selective_scan {

struct CpuParams {
  std::int32_t sequences_symbol, channels, states, block;
};

}  // namespace switchyard::kernels::selective_scan
