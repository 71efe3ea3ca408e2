// add@1: the sum of two parts of one result that two devices have computed.   y = a + b
//
//   in   0 a   f32 [T, D]
//        1 b   f32 [T, D]
//   out  0 y   f32 [T, D]
//   flops T D; bytes 12 T D
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::add {

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t y);

}  // namespace switchyard::kernels::add
