#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::sampling {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 2 || n.out.size() != 1)
    return Error{Code::invalid_argument, "sampling: needs 2 inputs (uniform may be absent) and 1 output"};
  HAL_CHECK(expect(s, n, 0, "logits", {DType::f32}, {-1, -1}));
  if (n.in[1] != no_value) HAL_CHECK(expect(s, n, 1, "uniform", {DType::f32}, {-1}));
  auto a = n.attrs_as<Attrs>();
  if (!(a.temperature >= 0))
    return Error{Code::invalid_argument,
                 "sampling: temperature is " + std::to_string(a.temperature) + ", expected 0 or more"};
  if (a.temperature > 0 && n.in[1] == no_value)
    return Error{Code::invalid_argument,
                 "sampling: temperature " + std::to_string(a.temperature) + " needs input 1 (uniform)"};
  if (a.top_k < 0)
    return Error{Code::invalid_argument,
                 "sampling: top_k is " + std::to_string(a.top_k) + ", expected 0 (all) or more"};
  if (!(a.top_p > 0 && a.top_p <= 1))
    return Error{Code::invalid_argument,
                 "sampling: top_p is " + std::to_string(a.top_p) + ", expected more than 0, at most 1"};
  if (s.values[n.out[0]].dtype != DType::i32)
    return Error{Code::invalid_argument,
                 "sampling: output 0 (token) is " + to_string(s.values[n.out[0]]) + ", expected i32 [*]"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  auto count = static_cast<double>(elements(s.values[n.in[0]], dims));
  return {count, 4 * count};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t logits, std::uint32_t uniform, const Attrs& attrs) {
  auto token = b.value(DType::i32, {b.shape(logits)[0]});
  b.node("sampling@1", {logits, uniform}, {token}, attrs);
  return token;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();
std::optional<std::string> no_graph(const Segment& segment, const Node& node);

extern const OpInfo op_info;
const OpInfo op_info{"sampling@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {0, "token ids; the cases keep their draws clear of the borders between tokens"},
                     kernels,
                     no_graph};

}  // namespace switchyard::kernels::sampling
