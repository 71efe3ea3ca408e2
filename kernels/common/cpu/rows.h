// The rows of a step as a CPU kernel reads them: a symbol of CallArgs::dims, or a fixed number where there is no
// symbol.
#pragma once
#include <cstdint>

namespace switchyard::kernels {

struct CpuRows {
  std::int32_t symbol, fixed;
};
static inline std::int64_t row_count(CpuRows rows, const std::int64_t* dims) {
  return rows.symbol >= 0 ? dims[rows.symbol] : rows.fixed;
}

}  // namespace switchyard::kernels
