#include "kernels/add/add.h"

namespace switchyard::kernels::add {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 2 || n.out.size() != 1) return Error{Code::invalid_argument, "add: needs 2 inputs and 1 output"};
  HAL_CHECK(expect(s, n, 0, "a", {DType::f32}, {-1, -1}));
  return expect(s, n, 1, "b", {DType::f32}, {-1, shape_of(s, n.in[0], 1)});
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const auto all = static_cast<double>(elements(s.values[n.in[0]], dims));
  return {all, 12 * all};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t y) {
  auto sum = b.value(DType::f32, b.shape(x));
  b.node("add@1", {x, y}, {sum});
  return sum;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{
    "add@1", check, cost, reference, decompose, cases, {1.2e-7, "one f32 sum: half a unit in the last place"}, kernels};

}  // namespace switchyard::kernels::add
