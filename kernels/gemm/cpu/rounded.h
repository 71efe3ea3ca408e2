// gemm on rounded rows, included behind the products of one form (int8.h, bf16.h).
// Tile i: weight rows [32 i, 32 i + 32) against every row; with w_up, rows [16 i, 16 i + 16) of both matrices.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/math.h"
#include "kernels/gemm/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

SY_INLINE void gemm_rounded(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::gemm::CpuParams*>(a->args);
  const std::int64_t rows = row_count(p.rows, a->dims);
  const auto* x = static_cast<const Byte*>(a->pointers[0]);
  const auto* gate = static_cast<const Byte*>(a->pointers[1]);
  const auto* up = static_cast<const Byte*>(a->pointers[2]);
  const auto* bias = static_cast<const float*>(a->pointers[3]);
  const auto* residual = static_cast<const float*>(a->pointers[4]);
  auto* y = static_cast<float*>(a->pointers[5]);
  const auto type = static_cast<DType>(p.dtype);
  const std::uint64_t group = rows16_bytes(type, p.k), stride = input_row_bytes(p.k);
  const std::uint32_t groups = (p.n + 15) / 16;
  if (rows <= few_rows) ask_for(gate + (up ? 1 : 2) * a->first_tile * group);
  const std::int64_t strip = rows_of_strip(type, stride, rows);
  for (std::int64_t begin = 0; begin < rows; begin += strip) {
    const std::int64_t strip_rows = rows - begin < strip ? rows - begin : strip;
    for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
      const std::uint32_t first = up ? tile : 2 * tile, second = up || first + 1 == groups ? first : first + 1;
      const Byte* const w[2] = {gate + first * group, (up ? up : gate) + second * group};
      const Wide scale = splat(p.scale);
      auto finish = [&](std::int64_t t, std::uint32_t n, Wide sum) SY_LAMBDA {
        const std::uint64_t at = static_cast<std::uint64_t>(t) * p.n + n;
        if (p.n - n >= 16) {
          if (bias) sum = fma(splat(1.0f), sum, load(bias + n));
          store(y + at, residual ? fma(scale, sum, load(residual + at)) : multiply(scale, sum));
          return;
        }
        const std::uint32_t count = p.n - n;
        if (bias) sum = fma(splat(1.0f), sum, load_first(bias + n, count));
        store_first(y + at, residual ? fma(scale, sum, load_first(residual + at, count)) : multiply(scale, sum), count);
      };
      multiply_pair(
          type, w, p.k, strip_rows,
          [&](std::int64_t row) SY_LAMBDA {
            const auto t = static_cast<std::uint64_t>(begin + row);
            expect(y + t * p.n + first * 16);
            if (!up) expect(y + t * p.n + second * 16);
            return x + t * stride;
          },
          [&](std::int64_t row, const float* one, const float* other) SY_LAMBDA {
            const std::int64_t t = begin + row;
            if (up) {
              float h[16];
              for (int i = 0; i < 16; ++i) h[i] = silu(one[i]) * other[i];
              finish(t, first * 16, load(h));
              return;
            }
            finish(t, first * 16, load(one));
            if (second != first) finish(t, second * 16, load(other));
          });
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
