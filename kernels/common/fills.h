// Data for cases of several ops.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

// Rows [t, k] that rounding to 8 bits (Activations::rounded) leaves as they are: in each block of 32 whole multiples of
// one number, the largest 127 of them. With these a kernel that rounds must be as exact as one that does not.
Fill lossless_rows(std::int64_t t, std::int64_t k);

}  // namespace switchyard::kernels
