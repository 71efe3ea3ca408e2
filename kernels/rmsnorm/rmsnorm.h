// rmsnorm@1: root mean square normalisation, plain or gated (Mamba-2: gate first, then norm).
//
//   plain   y = weight * x / sqrt(mean(x^2) + eps)
//   gated   v = x * silu(gate);  y = weight * v / sqrt(mean over each of `groups` groups of v^2 + eps)
//   in   0 x       f32 [T, D]
//        1 weight  f32 [D]
//        2 gate    f32 [T, W] or absent; its columns [gate_offset, gate_offset + D) are used
//   out  0 y       f32 [T, D]
//   Sums in f32 or better. Source: Zhang & Sennrich 2019, eq. 4; the gated form: Dao & Gu 2024 (Mamba-2), section 7.
//   flops about 4 T D (gated 9 T D); bytes 4 T D (read) + 4 T D (written) (+ 4 T D gate)
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::rmsnorm {

struct Attrs {
  float eps = 1e-5f;
  std::int32_t groups = 1;
  std::int32_t gate_offset = 0;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, float eps);
std::uint32_t append_gated(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, std::uint32_t gate,
                           const Attrs& attrs);

}  // namespace switchyard::kernels::rmsnorm
