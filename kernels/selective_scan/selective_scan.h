// selective_scan@1: the Mamba-1 recurrence: a decay per channel and state.
//
//   dt = softplus(dt_raw[t, c] + dt_bias[c])
//   s[c, n] = exp(dt A[c, n]) s[c, n] + dt u[t, c] B[t, n]
//   y[t, c] = sum_n C[t, n] s[c, n] + D[c] u[t, c];  with z: y *= silu(z[t, c])
//   in   0 u f32 [T, C]   1 dt f32 [T, C]   2 dt_bias f32 [C]   3 a f32 [C, N], negative   4 b f32 [T, N]   5 c f32 [T, N]
//        6 d f32 [C]      7 z f32 [T, C] or absent             8 sequences i32 [S, 5]     9 state: state f32 [slots, C, N]
//   out  0 y f32 [T, C]
//   Source: Gu & Dao 2023 (Mamba), algorithm 2. flops T C N * 6; bytes 4 T (4 C + 2 N) + 8 C N per sequence
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::selective_scan {

struct Inputs {
  std::uint32_t u, dt, dt_bias, a, b, c, d, z, sequences, state;
};
std::uint32_t append(SegmentBuilder& b, const Inputs& in);

}  // namespace switchyard::kernels::selective_scan
