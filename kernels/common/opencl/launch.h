// What the opencl/launch.cpp of the ops share.
#pragma once
#include <algorithm>

#include "kernels/common/packing.h"
#include "kernels/op.h"

namespace switchyard::kernels::opencl {

// A dimension as kernels read it; Count in common.cl.
struct Count {
  std::int32_t symbol = -1, fixed = 0;
};
inline Count count_of(const Dim& dim) { return {dim.symbol, static_cast<std::int32_t>(dim.max)}; }
inline std::uint32_t count(Count c, Dims dims) {
  auto n = c.symbol >= 0 && static_cast<std::size_t>(c.symbol) < dims.size() ? dims[static_cast<std::size_t>(c.symbol)]
                                                                             : c.fixed;
  return n > 0 ? static_cast<std::uint32_t>(n) : 0;
}

inline std::uint32_t groups(std::uint32_t items, std::uint32_t per_group) {
  return (items + per_group - 1) / per_group;
}

inline std::string define(const char* name, std::int64_t value) {
  return std::string("-D") + name + "=" + std::to_string(value) + " ";
}
inline std::string define_type(DType type) { return define("TYPE", static_cast<std::int64_t>(type)); }

// A run of rows of a matrix that one launch covers, and where its bytes lie.
struct RowRange {
  std::int64_t first = 0, rows = 0;
  Bytes offset = 0, bytes = 0;
};
// Ranges of at most `limit` bytes (Limits::max_binding), at multiples of 256 rows, so that offsets keep every
// alignment.
inline std::vector<RowRange> split_rows(std::int64_t rows, Bytes row_bytes, Bytes limit) {
  constexpr std::int64_t unit = 256;
  std::int64_t most = rows;
  if (limit && row_bytes && static_cast<Bytes>(rows) > limit / row_bytes)
    most = std::max<std::int64_t>(static_cast<std::int64_t>(limit / row_bytes) / unit * unit, unit);
  std::vector<RowRange> ranges;
  for (std::int64_t first = 0; first < rows; first += most) {
    std::int64_t n = std::min(most, rows - first);
    ranges.push_back({first, n, static_cast<Bytes>(first) * row_bytes, static_cast<Bytes>(n) * row_bytes});
  }
  return ranges;
}

}  // namespace switchyard::kernels::opencl
