// Tile i: output rows [4 i, 4 i + 4).
#include "hal/call.h"
#include "kernels/common/cpu/dequant.h"
#include "kernels/common/cpu/rows16_row.h"
#include "kernels/embedding/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

void embedding(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::embedding::CpuParams*>(a->args);
  const std::int64_t rows = row_count(p.rows, a->dims);
  const auto* table = static_cast<const Byte*>(a->pointers[0]);
  const auto* pick = static_cast<const std::int32_t*>(a->pointers[1]);
  auto* y = static_cast<float*>(a->pointers[2]);
  const std::uint64_t stride = row_bytes_of(static_cast<DType>(p.dtype), p.width);
  const Wide scale = splat(p.scale);
  std::int64_t end = std::int64_t{a->last_tile} * kernels::embedding::rows_per_tile;
  if (end > rows) end = rows;
  for (std::int64_t r = std::int64_t{a->first_tile} * kernels::embedding::rows_per_tile; r < end; ++r) {
    if (p.group_bytes != 0) {
      const auto picked = static_cast<std::uint32_t>(pick[r]);
      const Byte* group = table + picked / 16 * std::uint64_t{p.group_bytes};
      for (std::uint32_t b = 0; b < p.width / 32; ++b) {
        float part[32];
        unpack_rows16(static_cast<DType>(p.dtype), group, picked % 16, b, part);
        for (std::uint32_t i = 0; i < 32; ++i) y[r * p.width + 32 * b + i] = p.scale * part[i];
      }
      continue;
    }
    const Byte* row = table + static_cast<std::uint64_t>(pick[r]) * stride;
    float* to = y + r * p.width;
    with_type(static_cast<DType>(p.dtype), [&](auto type) SY_LAMBDA {
      unpack_row<decltype(type)::value>(row, p.width, [&](std::uint32_t i, Wide v) SY_LAMBDA {
        v = multiply(scale, v);
        if (i + 16 <= p.width)
          store(to + i, v);
        else
          store_first(to + i, v, p.width - i);
      });
    });
  }
}

}  // namespace switchyard::kernels::SY_ISA
