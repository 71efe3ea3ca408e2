#include "kernels/gemm/gemm.h"

namespace switchyard::kernels::gemm {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 5 || n.out.size() != 1)
    return Error{Code::invalid_argument, "gemm: needs 5 inputs (some absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, -1}));
  HAL_CHECK(
      expect(s, n, 1, "w",
             {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k},
             {-1, shape_of(s, n.in[0], 1)}));
  const std::int64_t rows = shape_of(s, n.in[1], 0), k = shape_of(s, n.in[1], 1);
  if (row_bytes(s.values[n.in[1]].dtype, k) == 0)
    return Error{Code::invalid_argument, "gemm: rows of " + std::to_string(k) + " are no whole number of " +
                                             hal::to_string(s.values[n.in[1]].dtype) + " blocks"};
  if (n.in[2] != no_value) HAL_CHECK(expect(s, n, 2, "w_up", {s.values[n.in[1]].dtype}, {rows, k}));
  if (n.in[3] != no_value) HAL_CHECK(expect(s, n, 3, "bias", {DType::f32}, {rows}));
  if (n.in[2] != no_value && n.in[3] != no_value)
    return Error{Code::invalid_argument, "gemm: w_up and bias together are not defined"};
  if (n.in[4] != no_value) HAL_CHECK(expect(s, n, 4, "residual", {DType::f32}, {-1, rows}));
  if (!s.constant(n.in[1])) return Error{Code::invalid_argument, "gemm: w must be a constant"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  double t = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  double k = static_cast<double>(shape_of(s, n.in[1], 1)), rows = static_cast<double>(shape_of(s, n.in[1], 0));
  double weights = n.in[2] != no_value ? 2 : 1;
  double w = static_cast<double>(max_bytes(s.values[n.in[1]]));
  return {2 * t * k * rows * weights, weights * w + 4 * t * (k + rows * (n.in[4] != no_value ? 2 : 1))};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t w, const Options& o) {
  auto y = b.value(DType::f32, {b.shape(x)[0], b.shape(w)[0]});
  b.node("gemm@1", {x, w, o.w_up, o.bias, o.residual}, {y}, Attrs{o.scale, o.activations});
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

Activations activations(const Node& node) { return node.attrs_as<Attrs>().activations; }

extern const OpInfo op_info;
const OpInfo op_info{"gemm@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {2e-5, "f32 sums of up to 8k terms in another order than the double reference"},
                     kernels,
                     nullptr,
                     activations};

}  // namespace switchyard::kernels::gemm
