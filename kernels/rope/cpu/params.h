#pragma once
#include <cstdint>

namespace switchyard::kernels::rope {

struct CpuParams {
  std::int32_t rows_symbol, heads, head_dim, interleaved;
};

}  // namespace switchyard::kernels::rope
