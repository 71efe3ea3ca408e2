#include "kernels/embedding/embedding.h"

namespace switchyard::kernels::embedding {
namespace {

Case make(DType type, std::int64_t v, std::int64_t d, std::int64_t r, float scale, bool timed = false) {
  SegmentBuilder b;
  auto table = b.constant(type, {v, d}, 1, {}, nullptr);
  auto rows = b.input(DType::i32, {Dim::open(sym_rows, 1, r)});
  b.output(append(b, table, rows, scale));
  Case c{std::string(hal::to_string(type)) + "_v" + std::to_string(v) + "_d" + std::to_string(d) + "_r" +
             std::to_string(r),
         b.take(),
         {r},
         {},
         timed,
         !timed};
  Fill& fill = c.fills[rows];
  fill.lo = 0;
  fill.hi = static_cast<double>(v);
  if (!timed)  // the first row, the last one, and one twice
    for (std::int64_t i = 0; i < r; ++i)
      fill.values.push_back(static_cast<double>(i % 3 == 0 ? v - 1 : i % 3 == 1 ? 0 : (7 * i) % v));
  return c;
}

// Rows of a value computed in the same segment, as before the head: fewer rows than the step has.
Case picked() {
  SegmentBuilder b;
  auto x = b.input(DType::f32, {Dim::open(sym_rows, 1, 9), Dim::fixed(50)});
  auto rows = b.input(DType::i32, {Dim::open(sym_logits, 1, 9)});
  b.output(append(b, x, rows));
  Case c{"picked_rows", b.take(), {9, 0, 3}, {}, false, true};
  c.fills[rows].values = {8, 0, 4};
  return c;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (DType type : weight_types()) {
    std::int64_t d = block(type).elements == 256 ? 512 : 96;
    all.push_back(make(type, 37, d, 1, 1.0f));
    all.push_back(make(type, 37, d, 7, 12.0f));
  }
  all.push_back(make(DType::f32, 1, 19, 2, 1.0f));
  all.push_back(picked());
  all.push_back(make(DType::q8_0, 100352, 768, 512, 12.0f, true));
  all.push_back(make(DType::bf16, 100352, 768, 512, 12.0f, true));
  return all;
}

}  // namespace switchyard::kernels::embedding
