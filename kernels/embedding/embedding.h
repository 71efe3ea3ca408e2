// embedding@1: rows of a table.   y[r, :] = scale * table[rows[r], :]
//
//   in   0 table  [V, D] any weight type, a constant; or f32 [V, D] computed in the same segment (picking rows of x)
//        1 rows   i32 [R], each in [0, V); others are a caller's bug (the executor refuses token ids out of range)
//   out  0 y      f32 [R, D]
//   flops R*D; bytes R * (row of the table + 4 D)
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::embedding {

// kept_for: how products elsewhere (a tied head) read the same table, so that a device may keep one copy for both.
struct Attrs {
  float scale = 1.0f;
  Activations kept_for = Activations::exact;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t table, std::uint32_t rows, float scale = 1.0f,
                     Activations kept_for = Activations::exact);

}  // namespace switchyard::kernels::embedding
