#pragma once
#include <cstdint>

namespace switchyard::kernels::gemm {

struct CpuParams {
  std::uint32_t k, n, dtype, tile;
  std::int32_t rows_symbol;
  float scale;
};

}  // namespace switchyard::kernels::gemm
