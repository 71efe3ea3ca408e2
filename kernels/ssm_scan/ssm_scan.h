// ssm_scan@1: the Mamba-2 recurrence (state space duality), prefill and single step, many sequences at once.
//
//   dt = clamp(softplus(dt_raw[t, h] + dt_bias[h]), dt_min, dt_max);  softplus(v) = log(1 + e^v), stable for large |v|
//   s[h, p, n] = exp(dt A[h]) s[h, p, n] + dt x[t, h, p] B[t, g, n];  g = h / (H / G)
//   y[t, h, p] = sum_n C[t, g, n] s[h, p, n] + D[h] x[t, h, p]        (the state after the update)
//   in   0 xbc        f32 [T, H P + 2 G N]: x, then B, then C (the output of causal_conv1d)
//        1 dt         f32 [T, W]; columns [dt_offset, dt_offset + H) are dt_raw
//        2 dt_bias    f32 [H]
//        3 a          f32 [H], negative (-exp(A_log))
//        4 d          f32 [H]
//        5 sequences  i32 [S, 5] (Sequence)
//        6 state      state f32 [slots, H, P, N]
//   out  0 y          f32 [T, H P]
//   Rows of one sequence run in order; sequences do not touch each other. Source: Dao & Gu 2024, eq. 1-2 with scalar A.
//   flops T H P N * 5 (+ O(T H)); bytes 4 T (2 H P + 2 G N + H) + 8 H P N per sequence
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::ssm_scan {

struct Attrs {
  std::int32_t heads = 0, head_dim = 0, groups = 1, state = 0;  // H, P, G, N
  std::int32_t dt_offset = 0;
  float dt_min = 0.0f, dt_max = 3.4e38f;
};
constexpr std::int64_t step_order_rows = 16;  // OpInfo
std::uint32_t append(SegmentBuilder& b, std::uint32_t xbc, std::uint32_t dt, std::uint32_t dt_bias, std::uint32_t a,
                     std::uint32_t d, std::uint32_t sequences, std::uint32_t state, const Attrs& attrs);

}  // namespace switchyard::kernels::ssm_scan
