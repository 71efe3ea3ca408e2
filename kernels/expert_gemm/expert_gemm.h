// expert_gemm@1: a mixture of experts' feed-forward: routed SwiGLU experts and their weighted sum.
//
//   y[t] = residual[t] + scale * sum_j gate[t, j] * down_e (silu(gate_e x[t]) * (up_e x[t])),  e = index[t, j]
//   in   0 x            f32 [T, D]
//        1 index        i32 [T, k], experts 0 .. experts-1
//        2 gate         f32 [T, k]
//        3 w_gate       [L, I, D] any weight type, constant; or, if w_up is absent, [L, 2 I, D]: gate rows, then up rows
//        4 w_up         [L, I, D] of the same type, or absent
//        5 w_down       [L, D, I] any weight type, constant
//        6 local_index  i32 [experts], or absent (then L == experts): where expert e lies in the L slots here; -1: on another
//                       device, whose partial sum is added by passing one result as the other's residual
//        7 residual     f32 [T, D], or absent
//   out  0 y            f32 [T, D]
//   Activations::rounded lets a device round x and the products of the experts' first half (kernels/op.h).
//   Experts are summed in the order of a row's index list, whatever rows stand beside it. No capacity limit, no dropped row.
//   flops 6 T k D I; bytes: weights of the experts touched once + 4 T (2 D + 2 k)
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::expert_gemm {

struct Attrs {
  std::int32_t experts = 0;  // of the whole layer
  float scale = 1.0f;
  Activations activations = Activations::exact;
};
struct Inputs {
  std::uint32_t x, index, gate, w_gate, w_up = no_value, w_down = no_value, local_index = no_value, residual = no_value;
};
std::uint32_t append(SegmentBuilder& b, const Inputs& in, const Attrs& attrs);

}  // namespace switchyard::kernels::expert_gemm
