#pragma once
#include <cstdint>

namespace switchyard::kernels::rmsnorm {

struct CpuParams {
  std::int32_t rows_symbol, width, gate_width, groups, gate_offset;
  float eps;
};

}  // namespace switchyard::kernels::rmsnorm
