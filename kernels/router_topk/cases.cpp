#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::router_topk {
namespace {

Case make(std::string name, std::int64_t t, std::int64_t experts, std::int32_t k, Fill fill, bool timed = false) {
  SegmentBuilder b;
  auto logits = b.input(DType::f32, {Dim::open(sym_rows, 1, t), Dim::fixed(experts)});
  auto out = append(b, logits, k);
  b.output(out.index);
  b.output(out.gate);
  Case c{name + "_t" + std::to_string(t) + "_e" + std::to_string(experts) + "_k" + std::to_string(k),
         b.take(),
         {t},
         {},
         timed,
         !timed};
  c.fills[logits] = std::move(fill);
  return c;
}

Fill repeated(std::int64_t count, std::vector<double> pattern) {
  Fill fill;
  for (std::int64_t i = 0; i < count; ++i) fill.values.push_back(pattern[static_cast<std::size_t>(i) % pattern.size()]);
  return fill;
}

}  // namespace

std::vector<Case> cases() {
  Fill wide{-30, 30, {}};
  return {
      make("random", 1, 62, 6, {}),
      make("random", 37, 62, 6, wide),
      make("random", 19, 8, 2, {}),
      make("random", 130, 32, 8, wide),
      make("one_expert", 5, 1, 1, {}),
      make("top1", 6, 4, 1, {}),
      make("all", 7, 3, 3, {}),
      make("equal", 3, 40, 8, repeated(3 * 40, {0.5})),
      make("ties", 4, 72, 10, repeated(4 * 72, {1, 2, 2, -1, 2, 1, 0})),
      make("zeros_of_both_signs", 2, 6, 4, repeated(12, {-0.0, 0.0, -1, 0.0, -0.0, -2})),
      make("far_apart", 2, 6, 4, repeated(12, {-1e4, 88, -1e4, 3e4, -88, 0})),
      make("granite_4_tiny", 512, 64, 6, {}, true),
  };
}

}  // namespace switchyard::kernels::router_topk
