#include "kernels/common/sequences.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::ssm_scan {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 7 || n.out.size() != 1)
    return Error{Code::invalid_argument, "ssm_scan: needs 7 inputs and 1 output"};
  const auto a = n.attrs_as<Attrs>();
  const std::string sizes = "heads " + std::to_string(a.heads) + ", head_dim " + std::to_string(a.head_dim) +
                            ", groups " + std::to_string(a.groups) + ", state " + std::to_string(a.state);
  if (a.heads < 1 || a.head_dim < 1 || a.groups < 1 || a.state < 1 || a.heads % a.groups != 0)
    return Error{Code::invalid_argument,
                 "ssm_scan: " + sizes + ": all must be positive and heads a multiple of groups"};
  if (!(a.dt_min >= 0.0f && a.dt_min <= a.dt_max))
    return Error{Code::invalid_argument,
                 "ssm_scan: dt limits " + std::to_string(a.dt_min) + " .. " + std::to_string(a.dt_max)};
  const std::int64_t inner = std::int64_t{a.heads} * a.head_dim;
  HAL_CHECK(expect(s, n, 0, "xbc", {DType::f32}, {-1, inner + 2 * std::int64_t{a.groups} * a.state}));
  HAL_CHECK(expect(s, n, 1, "dt", {DType::f32}, {-1, -1}));
  if (a.dt_offset < 0 || a.dt_offset + a.heads > shape_of(s, n.in[1], 1))
    return Error{Code::invalid_argument, "ssm_scan: dt columns [" + std::to_string(a.dt_offset) + ", +" +
                                             std::to_string(a.heads) + ") of " +
                                             std::to_string(shape_of(s, n.in[1], 1))};
  HAL_CHECK(expect(s, n, 2, "dt_bias", {DType::f32}, {a.heads}));
  HAL_CHECK(expect(s, n, 3, "a", {DType::f32}, {a.heads}));
  HAL_CHECK(expect(s, n, 4, "d", {DType::f32}, {a.heads}));
  HAL_CHECK(expect_sequences(s, n, 5));
  return expect(s, n, 6, "state", {DType::f32}, {-1, a.heads, a.head_dim, a.state});
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const auto a = n.attrs_as<Attrs>();
  const auto rows = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  const auto sequences = static_cast<double>(resolve(s.values[n.in[5]].shape[0], dims));
  const double inner = double(a.heads) * a.head_dim, state = inner * a.state;
  return {rows * state * 5 + rows * a.heads * 8,
          4 * rows * (2 * inner + 2.0 * a.groups * a.state + a.heads) + 8 * state * sequences};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t xbc, std::uint32_t dt, std::uint32_t dt_bias, std::uint32_t a,
                     std::uint32_t d, std::uint32_t sequences, std::uint32_t state, const Attrs& attrs) {
  auto y = b.value(DType::f32, {b.shape(xbc)[0], Dim::fixed(std::int64_t{attrs.heads} * attrs.head_dim)});
  b.node("ssm_scan@1", {xbc, dt, dt_bias, a, d, sequences, state}, {y}, attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{
    "ssm_scan@1",
    check,
    cost,
    reference,
    decompose,
    cases,
    {2e-5, "f32 rounding of each step stays in the state while its decay is near 1; sums over N in another order"},
    kernels,
    nullptr,
    nullptr,
    nullptr,
    false,
    step_order_rows};

}  // namespace switchyard::kernels::ssm_scan
