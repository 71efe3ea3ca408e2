// rope@1: rotary position embedding of all heads of q or k.
//
//   angle(t, j) = position[t] * theta^(-2 j / d), j < d/2;  (a, b) -> (a cos - b sin, b cos + a sin)
//   pairs are (j, j + d/2) (half split), or (2 j, 2 j + 1) if interleaved (GGUF's row order)
//   in   0 x          f32 [T, heads * d]
//        1 positions  i32 [T], 0 .. 131071
//        2 turns      i32 [d/2, 2], constant: theta^(-2j/d) / (2 pi) as a 64-bit binary fraction of a turn {low, high}
//   out  0 y          f32 [T, heads * d]
//   position * turns mod 2^64 is exact, so the angle is good to f32 at any position: no large argument meets sin or cos.
//   Source: Su et al. 2021 (RoFormer), eq. 34. flops 3 T heads d; bytes 8 T heads d
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::rope {

struct Attrs {
  std::int32_t heads = 0, head_dim = 0;
  std::int32_t interleaved = 0;
  float theta = 10000.0f;
};
// Makes the constant `turns` itself.
std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t positions, const Attrs& attrs);

}  // namespace switchyard::kernels::rope
