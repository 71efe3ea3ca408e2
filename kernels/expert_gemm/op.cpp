#include <cmath>

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::kernels::expert_gemm {
namespace {

Status check_rows(const Segment& s, std::uint32_t w, const char* name) {
  const Tensor& t = s.values[w];
  if (row_bytes(t.dtype, t.shape[2].max) == 0)
    return Error{Code::invalid_argument, std::string("expert_gemm: ") + name + "'s rows of " +
                                             std::to_string(t.shape[2].max) + " are no whole number of " +
                                             hal::to_string(t.dtype) + " blocks"};
  if (!s.constant(w)) return Error{Code::invalid_argument, std::string("expert_gemm: ") + name + " must be a constant"};
  return ok();
}

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 8 || n.out.size() != 1)
    return Error{Code::invalid_argument, "expert_gemm: needs 8 inputs (some absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, -1}));
  const std::int64_t d = shape_of(s, n.in[0], 1);
  HAL_CHECK(expect(s, n, 1, "index", {DType::i32}, {-1, -1}));
  HAL_CHECK(expect(s, n, 2, "gate", {DType::f32}, {-1, shape_of(s, n.in[1], 1)}));
  HAL_CHECK(
      expect(s, n, 3, "w_gate",
             {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k},
             {-1, -1, d}));
  const std::int64_t slots = shape_of(s, n.in[3], 0), rows = shape_of(s, n.in[3], 1);
  if (n.in[4] != no_value) HAL_CHECK(expect(s, n, 4, "w_up", {s.values[n.in[3]].dtype}, {slots, rows, d}));
  if (n.in[4] == no_value && rows % 2 != 0)
    return Error{Code::invalid_argument, "expert_gemm: input 3 (w_gate) without w_up has " + std::to_string(rows) +
                                             " rows per expert, expected gate and up rows, an even number"};
  HAL_CHECK(
      expect(s, n, 5, "w_down",
             {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k},
             {slots, d, n.in[4] == no_value ? rows / 2 : rows}));
  HAL_CHECK(check_rows(s, n.in[3], "w_gate"));
  if (n.in[4] != no_value) HAL_CHECK(check_rows(s, n.in[4], "w_up"));
  HAL_CHECK(check_rows(s, n.in[5], "w_down"));
  const std::int64_t experts = n.attrs_as<Attrs>().experts;
  if (experts < 1)
    return Error{Code::invalid_argument, "expert_gemm: experts is " + std::to_string(experts) + ", expected 1 or more"};
  if (n.in[6] != no_value) {
    HAL_CHECK(expect(s, n, 6, "local_index", {DType::i32}, {experts}));
  } else if (slots != experts) {
    return Error{Code::invalid_argument, "expert_gemm: weights of " + std::to_string(slots) + " experts of " +
                                             std::to_string(experts) + " need input 6 (local_index)"};
  }
  if (n.in[7] != no_value) HAL_CHECK(expect(s, n, 7, "residual", {DType::f32}, {-1, d}));
  return ok();
}

// Expert weights touched: the expectation when every row picks its experts evenly.
Cost cost(const Segment& s, const Node& n, Dims dims) {
  auto t = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  double d = static_cast<double>(shape_of(s, n.in[0], 1)), k = static_cast<double>(shape_of(s, n.in[1], 1));
  double inner = static_cast<double>(shape_of(s, n.in[5], 2)), experts = n.attrs_as<Attrs>().experts;
  double here = static_cast<double>(shape_of(s, n.in[3], 0)) / experts;  // the share of the experts that lies here
  double weights = 0;
  for (std::size_t i : {3, 4, 5})
    if (n.in[i] != no_value) weights += static_cast<double>(max_bytes(s.values[n.in[i]]));
  double touched = 1 - std::pow(std::max(0.0, 1 - k / experts), t);
  return {6 * t * k * d * inner * here, weights * touched + 4 * t * (2 * d + 2 * k)};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, const Inputs& in, const Attrs& attrs) {
  auto y = b.value(DType::f32, b.shape(in.x));
  b.node("expert_gemm@1", {in.x, in.index, in.gate, in.w_gate, in.w_up, in.w_down, in.local_index, in.residual}, {y},
         attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

Activations activations(const Node& node) { return node.attrs_as<Attrs>().activations; }

extern const OpInfo op_info;
const OpInfo op_info{"expert_gemm@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {2e-5, "two f32 sums in a row, in another order than the double reference"},
                     kernels,
                     nullptr,
                     activations};

}  // namespace switchyard::kernels::expert_gemm
