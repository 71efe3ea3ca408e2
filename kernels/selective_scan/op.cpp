#include "kernels/common/sequences.h"
#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::selective_scan {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 10 || n.out.size() != 1)
    return Error{Code::invalid_argument, "selective_scan: needs 10 inputs (z may be absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "u", {DType::f32}, {-1, -1}));
  const std::int64_t channels = shape_of(s, n.in[0], 1);
  HAL_CHECK(expect(s, n, 1, "dt", {DType::f32}, {-1, channels}));
  HAL_CHECK(expect(s, n, 2, "dt_bias", {DType::f32}, {channels}));
  HAL_CHECK(expect(s, n, 3, "a", {DType::f32}, {channels, -1}));
  const std::int64_t states = shape_of(s, n.in[3], 1);
  HAL_CHECK(expect(s, n, 4, "b", {DType::f32}, {-1, states}));
  HAL_CHECK(expect(s, n, 5, "c", {DType::f32}, {-1, states}));
  HAL_CHECK(expect(s, n, 6, "d", {DType::f32}, {channels}));
  if (n.in[7] != no_value) HAL_CHECK(expect(s, n, 7, "z", {DType::f32}, {-1, channels}));
  HAL_CHECK(expect_sequences(s, n, 8));
  return expect(s, n, 9, "state", {DType::f32}, {-1, channels, states});
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const auto rows = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  const auto sequences = static_cast<double>(resolve(s.values[n.in[8]].shape[0], dims));
  const auto channels = static_cast<double>(shape_of(s, n.in[3], 0)),
             states = static_cast<double>(shape_of(s, n.in[3], 1));
  return {rows * channels * states * 6, 4 * rows * (4 * channels + 2 * states) + 8 * channels * states * sequences};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, const Inputs& in) {
  auto y = b.value(DType::f32, b.shape(in.u));
  b.node("selective_scan@1", {in.u, in.dt, in.dt_bias, in.a, in.b, in.c, in.d, in.z, in.sequences, in.state}, {y});
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();
std::optional<std::string> no_graph(const Segment& segment, const Node& node);

extern const OpInfo op_info;
const OpInfo op_info{
    "selective_scan@1",
    check,
    cost,
    reference,
    decompose,
    cases,
    {2e-5, "f32 rounding of each step stays in the state while its decay is near 1; sums over N in another order"},
    kernels,
    no_graph};

}  // namespace switchyard::kernels::selective_scan
