#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::causal_conv1d {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 5 || n.out.size() != 1)
    return Error{Code::invalid_argument, "causal_conv1d: needs 5 inputs (bias may be absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, -1}));
  HAL_CHECK(expect(s, n, 1, "weight", {DType::f32}, {-1, -1}));
  const std::int64_t channels = shape_of(s, n.in[1], 0), taps = shape_of(s, n.in[1], 1),
                     width = shape_of(s, n.in[0], 1);
  if (taps < 2 || taps > 8)
    return Error{Code::invalid_argument,
                 "causal_conv1d: weight has " + std::to_string(taps) + " taps, expected 2 to 8"};
  if (n.in[2] != no_value) HAL_CHECK(expect(s, n, 2, "bias", {DType::f32}, {channels}));
  HAL_CHECK(expect_sequences(s, n, 3));
  HAL_CHECK(expect(s, n, 4, "window", {DType::f32}, {-1, taps - 1, channels}));
  const auto a = n.attrs_as<Attrs>();
  if (a.x_offset < 0 || a.x_offset + channels > width)
    return Error{Code::invalid_argument, "causal_conv1d: columns [" + std::to_string(a.x_offset) + ", +" +
                                             std::to_string(channels) + ") of " + std::to_string(width)};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const auto rows = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  const auto sequences = static_cast<double>(resolve(s.values[n.in[3]].shape[0], dims));
  const auto channels = static_cast<double>(shape_of(s, n.in[1], 0)),
             taps = static_cast<double>(shape_of(s, n.in[1], 1));
  return {rows * channels * (2 * taps + 4), 8 * rows * channels + 8 * sequences * (taps - 1) * channels};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t weight, std::uint32_t bias,
                     std::uint32_t sequences, std::uint32_t window, std::int32_t x_offset) {
  auto y = b.value(DType::f32, {b.shape(x)[0], b.shape(weight)[0]});
  b.node("causal_conv1d@1", {x, weight, bias, sequences, window}, {y}, Attrs{x_offset});
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"causal_conv1d@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {2e-6, "a handful of f32 products, then one exp"},
                     kernels};

}  // namespace switchyard::kernels::causal_conv1d
