#include "kernels/embedding/embedding.h"

namespace switchyard::kernels::embedding {
namespace {

Status check(const Segment& s, const Node& n) {
  if (n.in.size() != 2 || n.out.size() != 1)
    return Error{Code::invalid_argument, "embedding: needs 2 inputs and 1 output"};
  HAL_CHECK(
      expect(s, n, 0, "table",
             {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k},
             {-1, -1}));
  HAL_CHECK(expect(s, n, 1, "rows", {DType::i32}, {-1}));
  const Tensor& table = s.values[n.in[0]];
  if (row_bytes(table.dtype, table.shape[1].max) == 0)
    return Error{Code::invalid_argument, "embedding: rows of " + std::to_string(table.shape[1].max) +
                                             " are no whole number of " + hal::to_string(table.dtype) + " blocks"};
  if (table.dtype != DType::f32 && !s.constant(n.in[0]))
    return Error{Code::invalid_argument,
                 "embedding: table " + to_string(table) + " must be a constant; only an f32 one may be computed"};
  return ok();
}

Cost cost(const Segment& s, const Node& n, Dims dims) {
  auto r = static_cast<double>(resolve(s.values[n.in[1]].shape[0], dims));
  std::int64_t d = shape_of(s, n.in[0], 1);
  return {r * static_cast<double>(d),
          r * static_cast<double>(row_bytes(s.values[n.in[0]].dtype, d) + 4 * static_cast<Bytes>(d) + 4)};
}

}  // namespace

std::uint32_t append(SegmentBuilder& b, std::uint32_t table, std::uint32_t rows, float scale, Activations kept_for) {
  auto y = b.value(DType::f32, {b.shape(rows)[0], b.shape(table)[1]});
  b.node("embedding@1", {table, rows}, {y}, Attrs{scale, kept_for});
  return y;
}

Status reference(ReferenceArgs& a);
Status decompose(const Segment& segment, const Node& node, GraphWriter& graph);
std::vector<Case> cases();
std::vector<Kernel> kernels();

extern const OpInfo op_info;
const OpInfo op_info{"embedding@1",
                     check,
                     cost,
                     reference,
                     decompose,
                     cases,
                     {1e-6, "one product per element; unpacking a k-quant rounds up to three times in f32"},
                     kernels,
                     nullptr,
                     [](const Node& node) { return node.attrs_as<Attrs>().kept_for; },
                     [](const Segment&, const Node&) { return Products::f32; },
                     true};

}  // namespace switchyard::kernels::embedding
