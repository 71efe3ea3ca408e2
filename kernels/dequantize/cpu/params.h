#pragma once
#include <cstdint>

namespace switchyard::kernels::dequantize {

struct CpuParams {
  std::uint32_t rows, columns, dtype, rows_per_tile;
};

}  // namespace switchyard::kernels::dequantize
