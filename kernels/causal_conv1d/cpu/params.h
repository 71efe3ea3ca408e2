#pragma once
#include <cstdint>

namespace switchyard::kernels::causal_conv1d {

struct CpuParams {
  std::int32_t rows_symbol, sequences_symbol, width, x_offset, channels, taps, block;
};

}  // namespace switchyard::kernels::causal_conv1d
