#include <cmath>

#include "kernels/rope/rope.h"

namespace switchyard::kernels::rope {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 3 || n.out.size() != 1) return Error{Code::invalid_argument, "rope: needs 3 inputs and 1 output"};
  const auto a = n.attrs_as<Attrs>();
  if (a.heads < 1 || a.head_dim < 2 || a.head_dim % 2 != 0 || !(a.theta > 0.0f))
    return Error{Code::invalid_argument, "rope: heads " + std::to_string(a.heads) + ", head_dim " +
                                             std::to_string(a.head_dim) + ", theta " + std::to_string(a.theta) +
                                             ": all must be positive and head_dim even"};
  HAL_CHECK(expect(s, n, 0, "x", {DType::f32}, {-1, std::int64_t{a.heads} * a.head_dim}));
  HAL_CHECK(expect(s, n, 1, "positions", {DType::i32}, {-1}));
  HAL_CHECK(expect(s, n, 2, "turns", {DType::i32}, {a.head_dim / 2, 2}));
  if (!s.constant(n.in[2])) return Error{Code::invalid_argument, "rope: turns must be a constant"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  const double all = static_cast<double>(elements(s.values[n.in[0]], dims));
  return {3 * all, 8 * all};
}

// theta^(-2j/d) / (2 pi) as a fraction of 2^64: one part in 2^64 of a turn, times 131071 positions, is still far below
// f32.
std::shared_ptr<std::vector<std::byte>> turns(const Attrs& a) {
  const std::int32_t half = a.head_dim / 2;
  auto data = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(half) * 8);
  const long double two_pi = 2 * std::acos(-1.0L);
  for (std::int32_t j = 0; j < half; ++j) {
    const long double turn = std::pow(static_cast<long double>(a.theta), -2.0L * j / a.head_dim) / two_pi;
    const auto fraction = static_cast<std::uint64_t>(std::ldexp(turn - std::floor(turn), 64));
    std::memcpy(data->data() + 8 * static_cast<std::size_t>(j), &fraction, 8);  // little endian: {low, high}
  }
  return data;
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t x, std::uint32_t positions, const Attrs& attrs) {
  auto data = turns(attrs);
  std::uint64_t key = 1469598103934665603ull;  // of the content, so that all layers and q and k share one
  for (std::byte c : *data) key = (key ^ static_cast<std::uint64_t>(c)) * 1099511628211ull;
  auto constant = b.constant(DType::i32, {attrs.head_dim / 2, 2}, key, *data, data);
  auto y = b.value(DType::f32, b.shape(x));
  b.node("rope@1", {x, positions, constant}, {y}, attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"rope@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {1e-6, "the angle in f32 after exact reduction, one sine and cosine in f32"},
                     kernels};

}  // namespace switchyard::kernels::rope
