// sampling@1: one token id per row of logits.
//
//   temperature == 0: the largest logit, the lower index on a tie (uniform is ignored)
//   else p = softmax(logits / temperature), cut to the top_k largest (0: all), then to the smallest set whose sum reaches
//   top_p; the token is the first, in descending order of p, whose running sum exceeds uniform[r] * (sum of the set)
//   in   0 logits   f32 [R, V]
//        1 uniform  f32 [R] in [0, 1), or absent (then temperature must be 0)
//   out  0 token    i32 [R]
//   flops R V; bytes 4 R V
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::sampling {

struct Attrs {
  float temperature = 0.0f;
  std::int32_t top_k = 0;
  float top_p = 1.0f;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t logits, std::uint32_t uniform, const Attrs& attrs);

}  // namespace switchyard::kernels::sampling
