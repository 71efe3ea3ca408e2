#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::router_topk {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 1 || n.out.size() != 2)
    return Error{Code::invalid_argument, "router_topk: needs 1 input and 2 outputs (index, gate)"};
  HAL_CHECK(expect(s, n, 0, "logits", {DType::f32}, {-1, -1}));
  const std::int64_t experts = shape_of(s, n.in[0], 1), k = n.attrs_as<Attrs>().k;
  if (k < 1 || k > experts)
    return Error{Code::invalid_argument, "router_topk: k is " + std::to_string(k) + ", expected 1 .. " +
                                             std::to_string(experts) + " (experts)"};
  for (std::size_t i = 0; i < 2; ++i) {
    const Tensor& t = s.values[n.out[i]];
    if (t.dtype != (i == 0 ? DType::i32 : DType::f32) || t.shape.size() != 2 || t.shape[1].max != k)
      return Error{Code::invalid_argument, "router_topk: output " + std::to_string(i) + " is " + to_string(t) +
                                               ", expected " + (i == 0 ? "i32" : "f32") + " [*, " + std::to_string(k) +
                                               "]"};
  }
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  auto t = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  double e = static_cast<double>(shape_of(s, n.in[0], 1)), k = n.attrs_as<Attrs>().k;
  return {t * e * k, 4 * t * (e + 2 * k)};
}

}  // namespace

Outputs append(SegmentBuilder& b, std::uint32_t logits, std::int32_t k) {
  auto index = b.value(DType::i32, {b.shape(logits)[0], Dim::fixed(k)});
  auto gate = b.value(DType::f32, {b.shape(logits)[0], Dim::fixed(k)});
  b.node("router_topk@1", {logits}, {index, gate}, Attrs{k});
  return {index, gate};
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"router_topk@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {5e-6, "exp of f32 differences, good to a few ulp; the indices must be equal"},
                     kernels};

}  // namespace switchyard::kernels::router_topk
