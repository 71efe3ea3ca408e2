// router_topk@1: the k largest logits of each row and their softmax.
//
//   index[t, :] = the k largest of logits[t, :], descending, the lower index first on a tie;  gate = softmax of those k
//   in   0 logits f32 [T, E]
//   out  0 index  i32 [T, k]
//        1 gate   f32 [T, k]
//   flops about T E k; bytes 4 T (E + 2 k)
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::router_topk {

struct Attrs {
  std::int32_t k = 0;
};
struct Outputs {
  std::uint32_t index, gate;
};
Outputs append(SegmentBuilder& b, std::uint32_t logits, std::int32_t k);

}  // namespace switchyard::kernels::router_topk
