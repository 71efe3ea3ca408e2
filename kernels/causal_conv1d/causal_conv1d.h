// causal_conv1d@1: short depthwise convolution over time with its window kept per slot, then SiLU.
//
//   y[t, c] = silu(bias[c] + sum_{j<K} weight[c, j] * x[t-K+1+j, c]);  columns before the sequence come from the window
//   in   0 x          f32 [T, W]; columns [x_offset, x_offset + C) are used
//        1 weight     f32 [C, K]; weight[c, K-1] meets the present token
//        2 bias       f32 [C], or absent
//        3 sequences  i32 [S, 5] (Sequence)
//        4 window     state f32 [slots, K-1, C]: the last K-1 raw columns, oldest first
//   out  0 y          f32 [T, C]
//   The window is read from slot_in and left in slot_out, also for sequences shorter than K-1 rows.
//   flops T C (2 K + 4); bytes 4 T C * 2 + 2 windows per sequence
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::causal_conv1d {

struct Attrs {
  std::int32_t x_offset = 0;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, std::uint32_t bias,
                     std::uint32_t sequences, std::uint32_t window, std::int32_t x_offset);

}  // namespace switchyard::kernels::causal_conv1d
