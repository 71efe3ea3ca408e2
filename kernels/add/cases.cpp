#include "kernels/add/add.h"

namespace switchyard::kernels::add {
namespace {

Case make(std::int64_t rows, std::int64_t width, bool timed = false) {
  SegmentBuilder b;
  const Dim t = Dim::open(sym_rows, 1, rows);
  auto x = b.input(DType::f32, {t, Dim::fixed(width)});
  auto y = b.input(DType::f32, {t, Dim::fixed(width)});
  b.output(append(b, x, y));
  return {"t" + std::to_string(rows) + "_d" + std::to_string(width),
          b.take(),
          {rows},
          {{x, {-3, 3, {}}}, {y, {-1, 1, {}}}},
          timed,
          !timed};
}

}  // namespace

std::vector<Case> cases() {
  return {make(1, 1),    make(1, 7),          make(5, 64),          make(3, 1001),
          make(33, 256), make(1, 1536, true), make(512, 1536, true)};
}

}  // namespace switchyard::kernels::add
