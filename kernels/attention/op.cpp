#include "kernels/attention/attention.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::attention {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 7 || n.out.size() != 1)
    return Error{Code::invalid_argument, "attention: needs 7 inputs and 1 output"};
  const auto a = n.attrs_as<Attrs>();
  if (a.heads < 1 || a.kv_heads < 1 || a.head_dim < 1 || a.page_size < 1 || a.heads % a.kv_heads != 0)
    return Error{Code::invalid_argument, "attention: heads " + std::to_string(a.heads) + ", kv_heads " +
                                             std::to_string(a.kv_heads) + ", head_dim " + std::to_string(a.head_dim) +
                                             ", page_size " + std::to_string(a.page_size) +
                                             ": all must be positive and heads a multiple of kv_heads"};
  const std::int64_t q = std::int64_t{a.heads} * a.head_dim, kv = std::int64_t{a.kv_heads} * a.head_dim;
  HAL_CHECK(expect(s, n, 0, "q", {DType::f32}, {-1, q}));
  HAL_CHECK(expect(s, n, 1, "k", {DType::f32}, {-1, kv}));
  HAL_CHECK(expect(s, n, 2, "v", {DType::f32}, {-1, kv}));
  HAL_CHECK(expect_sequences(s, n, 3));
  HAL_CHECK(expect(s, n, 4, "page_table", {DType::i32}, {-1, -1}));
  HAL_CHECK(
      expect(s, n, 5, "k_pages", {DType::f32, DType::f16, DType::q8_0}, {-1, a.page_size, a.kv_heads, a.head_dim}));
  if (s.values[n.in[5]].dtype == DType::q8_0 && a.head_dim % 32 != 0)
    return Error{Code::invalid_argument, "attention: head_dim " + std::to_string(a.head_dim) +
                                             " is no whole number of q8_0 blocks of 32; keep the KV cache in f16"};
  return expect(s, n, 6, "v_pages", {s.values[n.in[5]].dtype},
                {shape_of(s, n.in[5], 0), a.page_size, a.kv_heads, a.head_dim});
}

// The context is data, not a dim: counted as long as the page table allows.
Cost cost(const Segment& s, const Node& n, Dims dims) {
  const auto a = n.attrs_as<Attrs>();
  const auto rows = static_cast<double>(resolve(s.values[n.in[0]].shape[0], dims));
  const auto sequences = static_cast<double>(resolve(s.values[n.in[4]].shape[0], dims));
  const double context = static_cast<double>(resolve(s.values[n.in[4]].shape[1], dims)) * a.page_size;
  const double q = double(a.heads) * a.head_dim, kv = double(a.kv_heads) * a.head_dim;
  const auto element = block(s.values[n.in[5]].dtype);
  return {4 * rows * context * q, 2 * sequences * context * kv * double(element.bytes) / double(element.elements) +
                                      4 * rows * (2 * q + 2 * kv)};
}

std::optional<std::string> no_graph(const Segment& s, const Node& n) {
  if (s.values[n.in[5]].dtype != DType::q8_0) return std::nullopt;
  return "attention: a KV cache in q8_0 is not for graph devices";
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, const Inputs& in, const Attrs& attrs) {
  auto y = b.value(DType::f32, b.shape(in.q));
  b.node("attention@1", {in.q, in.k, in.v, in.sequences, in.page_table, in.k_pages, in.v_pages}, {y}, attrs);
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"attention@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {3e-5, "a score of 100 carries f32 rounding of 1e-5 into the exponent"},
                     kernels,
                     no_graph};

}  // namespace switchyard::kernels::attention
