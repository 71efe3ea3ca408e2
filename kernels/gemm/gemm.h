// gemm@1: a linear layer with the epilogues a transformer block needs.
//
//   a = x W^T (+ bias);  with w_up: a = silu(x W^T) * (x W_up^T)   (SwiGLU: w is the gate)
//   y = scale * a (+ residual)
//   in   0 x         f32 [T, K]
//        1 w         [N, K] any weight type, a constant
//        2 w_up      [N, K] of the same type, or absent
//        3 bias      f32 [N], or absent; not together with w_up
//        4 residual  f32 [T, N], or absent
//   out  0 y         f32 [T, N]
//   Sums over K in f32 in an order that depends on K alone: a row's result is bit-equal whatever rows stand beside it.
//   Activations::rounded lets a device round x (kernels/op.h); it may as well compute exactly.
//   Weights are computed on in their packed form. flops 2 T K N (twice with w_up); bytes: weights once + 4 T (K + N)
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::gemm {

struct Attrs {
  float scale = 1.0f;
  Activations activations = Activations::exact;
};
struct Options {
  std::uint32_t w_up = no_value, bias = no_value, residual = no_value;
  float scale = 1.0f;
  Activations activations = Activations::exact;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t w, const Options& options = {});

}  // namespace switchyard::kernels::gemm
