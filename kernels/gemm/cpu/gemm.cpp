// Tile i: weight rows [i * tile, (i + 1) * tile), against every row of x.
#include "hal/call.h"
#include "kernels/common/cpu/dots.h"
#include "kernels/common/cpu/math.h"
#include "kernels/gemm/cpu/params.h"

namespace switchyard::kernels::SY_ISA {

void gemm(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::gemm::CpuParams*>(a->args);
  const std::int64_t rows = row_count(p.rows, a->dims);
  const auto* x = static_cast<const float*>(a->pointers[0]);
  const auto* bias = static_cast<const float*>(a->pointers[3]);
  const auto* residual = static_cast<const float*>(a->pointers[4]);
  auto* y = static_cast<float*>(a->pointers[5]);
  const bool swiglu = a->pointers[2] != nullptr;
  const Weights w = weights(a->pointers[1], p.dtype, p.k), up = weights(a->pointers[2], p.dtype, p.k);
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::uint32_t first = tile * p.tile, columns = p.n - first < p.tile ? p.n - first : p.tile;
    dot_tile(
        w, swiglu ? &up : nullptr, first, columns, rows, static_cast<float*>(a->thread_scratch),
        [&](std::int64_t t) SY_LAMBDA { return x + t * p.k; },
        [&](std::int64_t t, std::uint64_t n, float gate, float other) {
          float v = swiglu ? silu(gate) * other : gate;
          if (bias) v += bias[n];
          const std::uint64_t at = static_cast<std::uint64_t>(t) * p.n + n;
          y[at] = residual ? p.scale * v + residual[at] : p.scale * v;
        });
  }
}

}  // namespace switchyard::kernels::SY_ISA
