#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::rmsnorm {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 3 || n.out.size() != 1)
    return Error{Code::invalid_argument, "rmsnorm: needs 3 inputs (gate may be absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, -1}));
  const std::int64_t width = shape_of(s, n.in[0], 1);
  HAL_CHECK(expect(s, n, 1, "weight", {DType::f32}, {width}));
  const auto a = n.attrs_as<Attrs>();
  if (a.groups < 1 || width % a.groups != 0)
    return Error{Code::invalid_argument, "rmsnorm: " + std::to_string(width) + " columns do not divide into " +
                                             std::to_string(a.groups) + " groups"};
  if (!(a.eps >= 0.0f))
    return Error{Code::invalid_argument, "rmsnorm: eps is " + std::to_string(a.eps) + ", expected 0 or more"};
  if (n.in[2] == no_value) {
    if (a.groups != 1) return Error{Code::invalid_argument, "rmsnorm: groups are defined with a gate only"};
    return ok();
  }
  HAL_CHECK(expect(s, n, 2, "gate", {DType::f32}, {-1, -1}));
  const std::int64_t gate = shape_of(s, n.in[2], 1);
  if (a.gate_offset < 0 || a.gate_offset + width > gate)
    return Error{Code::invalid_argument, "rmsnorm: gate columns [" + std::to_string(a.gate_offset) + ", +" +
                                             std::to_string(width) + ") of " + std::to_string(gate)};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const double all = static_cast<double>(elements(s.values[n.in[0]], dims));
  const bool gated = n.in[2] != no_value;
  return {all * (gated ? 9 : 4), all * (gated ? 12 : 8)};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, float eps) {
  auto y = b.value(DType::f32, b.shape(x));
  b.node("rmsnorm@1", {x, weight, no_value}, {y}, Attrs{eps, 1, 0});
  return y;
}

std::uint32_t append_gated(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, std::uint32_t gate,
                           const Attrs& attrs) {
  auto y = b.value(DType::f32, b.shape(x));
  b.node("rmsnorm@1", {x, weight, gate}, {y}, attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"rmsnorm@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {1e-5, "f32 sums of squares of up to 8k terms in another order"},
                     kernels};

}  // namespace switchyard::kernels::rmsnorm
