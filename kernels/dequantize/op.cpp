#include "kernels/dequantize/dequantize.h"

namespace switchyard::kernels::dequantize {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 1 || n.out.size() != 1)
    return Error{Code::invalid_argument, "dequantize: needs 1 input and 1 output"};
  HAL_CHECK(
      expect(s, n, 0, "w",
             {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k},
             {-1, -1}));
  const Tensor& w = s.values[n.in[0]];
  if (row_bytes(w.dtype, w.shape[1].max) == 0)
    return Error{Code::invalid_argument, "dequantize: rows of " + std::to_string(w.shape[1].max) +
                                             " are no whole number of " + hal::to_string(w.dtype) + " blocks"};
  if (!s.constant(n.in[0])) return Error{Code::invalid_argument, "dequantize: w must be a constant"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims) {
  auto count = static_cast<double>(max_elements(s.values[n.in[0]]));
  return {2 * count, static_cast<double>(max_bytes(s.values[n.in[0]])) + 4 * count};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t w) {
  auto y = b.value(DType::f32, b.shape(w));
  b.node("dequantize@1", {w}, {y});
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"dequantize@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {1e-6, "a k-quant rounds up to three times in f32: its scale, its minimum and their combination"},
                     kernels};

}  // namespace switchyard::kernels::dequantize
