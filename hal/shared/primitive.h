// The vocabulary of a primitive graph: what Kernels::decompose writes and a graph device reads.
//
// Node names are "prim.add" and so on; shapes are fixed; the attributes are PrimAttrs, byte for byte.
//   elementwise, right-aligned broadcast of size-1 axes: add sub mul div min max (f32, i32), less (i32,i32 -> boolean),
//     select (boolean, f, f), exp, sqrt, softplus, silu
//   convert (dtype of the output value says to what), matmul (last two axes, leading axes broadcast; ta, tb), softmax (axis),
//   reduce_sum, reduce_mean, reduce_max (axis kept as size 1), reshape, transpose (perm), concat (axis), slice (axis, begin,
//   end), gather (axis 0, i32 indices of any shape), topk (axis, k; two outputs: values, i32 indices, descending, the lower
//   index first on a tie), one_hot (i32 -> f32, new last axis of size k)
// f16, bf16, i8, u8, i4 and u4 occur as constants and are only moved (gather, reshape) or converted. i4 and u4 lie two
// to a byte over the flattened tensor, the first element in the low nibble. Rank is 1 to 4.
#pragma once
#include <cstdint>

namespace switchyard::hal {

struct PrimAttrs {
  std::int32_t axis = 0, begin = 0, end = 0, k = 0;
  std::int32_t ta = 0, tb = 0;
  std::int32_t perm[4] = {0, 1, 2, 3};
};

}  // namespace switchyard::hal
