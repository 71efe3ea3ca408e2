#include "kernels/multiply_add/multiply_add.h"

namespace switchyard::kernels::multiply_add {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 1 || n.out.size() != 1)
    return Error{Code::invalid_argument, "multiply_add: needs 1 input and 1 output"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, 16}));
  const std::int32_t products = n.attrs_as<Attrs>().products;
  if (products < 1 || products > 1 << 20 || products % 192 != 0)
    return Error{Code::invalid_argument,
                 "multiply_add: products is " + std::to_string(products) + ", expected a multiple of 192 up to 2^20"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const double all = static_cast<double>(elements(s.values[n.in[0]], dims));
  return {2 * all * n.attrs_as<Attrs>().products, 8 * all};
}

Products products(const Segment&, const Node& n) { return n.attrs_as<Attrs>().kind; }

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, const Attrs& attrs) {
  auto y = b.value(DType::f32, b.shape(x));
  b.node("multiply_add@1", {x}, {y}, attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{
    "multiply_add@1", check,   cost,    reference, decompose, cases, {0, "sums of whole numbers are exact"},
    kernels,          nullptr, nullptr, products};

}  // namespace switchyard::kernels::multiply_add
