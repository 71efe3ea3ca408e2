// dequantize@1: a packed matrix as f32.   in 0 w [R, C] any weight type, constant   out 0 y f32 [R, C]
//   The values of each block format: kernels/common/quant.h. bytes: the packed matrix + 4 R C
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::dequantize {

std::uint32_t append(SegmentBuilder& b, std::uint32_t w);

}  // namespace switchyard::kernels::dequantize
