#include "kernels/multiply_add/multiply_add.h"

namespace switchyard::kernels::multiply_add {
namespace {

Case make(Products kind, std::int64_t t, std::int32_t products, bool timed) {
  SegmentBuilder b;
  auto x = b.input(DType::f32, {Dim::open(sym_rows, 1, t), Dim::fixed(16)});
  b.output(append(b, x, {products, kind}));
  Case c{std::string(to_string(kind)) + "_t" + std::to_string(t) + "_" + std::to_string(products) + "_products",
         b.take(),
         {t},
         {},
         timed,
         !timed};
  for (std::int64_t i = 0; i < 16 * t; ++i) c.fills[x].values.push_back(static_cast<double>(i * 5 % 9));
  return c;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (Products kind : all_products) {
    all.push_back(make(kind, 1, 192, false));
    all.push_back(make(kind, 5, 1920, false));
    all.push_back(make(kind, 256, 192 * 1024, true));
  }
  return all;
}

}  // namespace switchyard::kernels::multiply_add
