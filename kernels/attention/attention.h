// attention@1: appends the step's keys and values to a paged cache, then causal grouped-query attention over it.
//
//   row t of a sequence has position past + (t - row_begin) and sees positions 0 .. itself
//   y[t, h, :] = sum_s softmax_s(scale * q[t, h] . k[s, h/(nq/nk)]) v[s, h/(nq/nk), :]
//   in   0 q           f32 [T, nq d]
//        1 k           f32 [T, nk d] (after rope)
//        2 v           f32 [T, nk d]
//        3 sequences   i32 [S, 5] (Sequence)
//        4 page_table  i32 [S, M]: position s of a sequence lies in page page_table[seq, s / page_size], row s % page_size
//        5 k_pages     state f32|f16|q8_0 [pages, page_size, nk, d]; q8_0: d a multiple of 32
//        6 v_pages     state, likewise
//   out  0 y           f32 [T, nq d]
//   What is appended is rounded to the pages' type before it is used: f16 to nearest even; q8_0 in blocks of 32 with
//   scale = max |x| / 127, kept in f16, and q = nearest integer of x * (127 / max |x|).
//   Softmax in f32 with the maximum subtracted. Rows past the context are never read.
//   Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 (GQA). flops 4 T ctx nq d; bytes: K and V of ctx once per sequence
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::attention {

struct Attrs {
  std::int32_t heads = 0, kv_heads = 0, head_dim = 0, page_size = 0;
  float scale = 1.0f;
};
struct Inputs {
  std::uint32_t q, k, v, sequences, page_table, k_pages, v_pages;
};
std::uint32_t append(SegmentBuilder& b, const Inputs& in, const Attrs& attrs);

}  // namespace switchyard::kernels::attention
