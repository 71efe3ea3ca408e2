#include "kernels/dequantize/dequantize.h"

namespace switchyard::kernels::dequantize {
namespace {

Case make(DType type, std::int64_t rows, std::int64_t columns, double lo, double hi, bool timed = false) {
  SegmentBuilder b;
  auto w = b.constant(type, {rows, columns}, 1, {}, nullptr);
  b.output(append(b, w));
  Case c{std::string(hal::to_string(type)) + "_" + std::to_string(rows) + "x" + std::to_string(columns) +
             (lo == hi ? "_zeros" : ""),
         b.take(),
         {},
         {},
         timed,
         !timed};
  c.fills[w] = Fill{lo, hi, {}};
  return c;
}

}  // namespace

std::vector<Case> cases() {
  std::vector<Case> all;
  for (DType type : weight_types()) {
    std::int64_t unit = block(type).elements;
    all.push_back(make(type, 1, unit, -1, 1));
    all.push_back(make(type, 5, unit == 1 ? 37 : 3 * unit, -3, 1));
    all.push_back(make(type, 2, unit, 0, 0));
    all.push_back(make(type, 4096, 1536, -1, 1, true));
  }
  return all;
}

}  // namespace switchyard::kernels::dequantize
