// Tile i: rows [i * rows_per_tile, (i + 1) * rows_per_tile).
#include "hal/call.h"
#include "kernels/common/cpu/dequant.h"
#include "kernels/dequantize/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

void dequantize(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::dequantize::CpuParams*>(a->args);
  const auto* w = static_cast<const Byte*>(a->pointers[0]);
  auto* y = static_cast<float*>(a->pointers[1]);
  const auto type = static_cast<DType>(p.dtype);
  const std::uint64_t stride = row_bytes_of(type, p.columns);
  std::uint64_t end = std::uint64_t{a->last_tile} * p.rows_per_tile;
  if (end > p.rows) end = p.rows;
  for (std::uint64_t r = std::uint64_t{a->first_tile} * p.rows_per_tile; r < end; ++r) {
    float* to = y + r * p.columns;
    with_type(type, [&](auto t) SY_LAMBDA {
      unpack_row<decltype(t)::value>(w + r * stride, p.columns, [&](std::uint32_t i, Wide v) SY_LAMBDA {
        if (i + 16 <= p.columns)
          store(to + i, v);
        else
          store_first(to + i, v, p.columns - i);
      });
    });
  }
}

}  // namespace switchyard::kernels::SY_ISA
