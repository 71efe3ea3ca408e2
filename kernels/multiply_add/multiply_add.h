// multiply_add@1: the most multiply-adds a device can do, for measuring its limit; nothing moves but registers.
//
//   y[t, l] = products * x[t, l], computed as so many products x[t, l] * 1 that are added one by one
//   in   0 x   f32 [T, 16], whole numbers from 0 to 8
//   out  0 y   f32 [T, 16]; exact: sums stay below 2^24
//   Attrs::products is a multiple of 192, up to 2^20; Attrs::kind says what the products are made of: f32, bytes summed
//   in i32, or bf16 summed in f32, with the best instructions the device has for it. A device without any declines.
//   flops 2 * 16 T products; bytes 128 T
#pragma once
#include "kernels/builder.h"

namespace switchyard::kernels::multiply_add {

struct Attrs {
  std::int32_t products = 0;
  Products kind = Products::f32;
};
std::uint32_t append(SegmentBuilder& b, std::uint32_t x, const Attrs& attrs);

}  // namespace switchyard::kernels::multiply_add
