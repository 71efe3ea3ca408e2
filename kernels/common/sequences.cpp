#include "kernels/common/sequences.h"

#include <random>

namespace switchyard::kernels {

Status expect_sequences(const Segment& segment, const Node& node, std::size_t in) {
  HAL_CHECK(expect(segment, node, in, "sequences", {DType::i32}, {-1, Sequence::width}));
  if (segment.constant(node.in[in]))
    return Error{Code::invalid_argument, node.op + ": sequences differ from step to step and cannot be a constant"};
  return ok();
}

std::vector<Sequence> sequences_of(ReferenceArgs& args, std::size_t in) {
  const auto& table = args.in(in);
  std::vector<Sequence> list(static_cast<std::size_t>(args.in_dim(in, 0)));
  for (std::size_t s = 0; s < list.size(); ++s) {
    auto field = [&](std::size_t i) { return static_cast<std::int32_t>(table[s * Sequence::width + i]); };
    list[s] = {field(0), field(1), field(2), field(3), field(4)};
  }
  return list;
}

Fill sequence_fill(const std::vector<Part>& parts) {
  Fill fill;
  double row = 0;
  for (const Part& p : parts) {
    for (double v : {row, double(p.rows), double(p.slot_in), double(p.slot_out), double(p.past)})
      fill.values.push_back(v);
    row += p.rows;
  }
  return fill;
}

std::int64_t rows_of(const std::vector<Part>& parts) {
  std::int64_t rows = 0;
  for (const Part& p : parts) rows += p.rows;
  return rows;
}

std::vector<Part> mixed_parts() {
  return {{19, 0, 1, 0}, {1, 2, 2, 40}, {2, 3, 4, 7}, {1, 0, 5, 0}, {7, 6, 6, 130}, {1, 7, 8, 3}};
}

Fill state_fill(std::int64_t slots, std::int64_t elements, double lo, double hi) {
  Fill fill;
  fill.values.resize(static_cast<std::size_t>(slots * elements), 0.0);
  std::mt19937_64 random(20240531);
  std::uniform_real_distribution<double> uniform(lo, hi);
  for (auto i = static_cast<std::size_t>(elements); i < fill.values.size(); ++i) fill.values[i] = uniform(random);
  return fill;
}

}  // namespace switchyard::kernels
