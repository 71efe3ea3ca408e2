// The primitives a graph device must know, and the writer that decompositions use.
//
// Node names are "prim.add" and so on; shapes are fixed; attributes are Attrs below, byte for byte.
//   elementwise, right-aligned broadcast of size-1 axes: add sub mul div min max (f32, i32), less (i32,i32 -> boolean),
//     select (boolean, f, f), exp, sqrt, softplus, silu
//   convert (dtype of the output value says to what), matmul (last two axes, leading axes broadcast; ta, tb), softmax (axis),
//   reduce_sum, reduce_mean, reduce_max (axis kept as size 1), reshape, transpose (perm), concat (axis), slice (axis, begin,
//   end), gather (axis 0, i32 indices of any shape), topk (axis, k; two outputs: values, i32 indices, descending),
//   one_hot (i32 -> f32, new last axis of size k)
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

struct PrimAttrs {
  std::int32_t axis = 0, begin = 0, end = 0, k = 0;
  std::int32_t ta = 0, tb = 0;
  std::int32_t perm[4] = {0, 1, 2, 3};
};

// Writes one primitive graph for a whole segment. Values are graph values unless called `source`.
class GraphWriter {
 public:
  GraphWriter(const Segment& source, Arithmetic arithmetic);
  Arithmetic arithmetic() const { return arithmetic_; }
  const Segment& source() const { return source_; }

  // The graph's view of a source value: an input or an earlier node's output. Quantised constants: use weight().
  std::uint32_t of(std::uint32_t source_value);
  // A constant matrix as an f32 value [same shape], kept compressed in the graph where the type allows it.
  std::uint32_t weight(std::uint32_t source_value);
  // Records what a source value (a node's output) became.
  void set(std::uint32_t source_value, std::uint32_t graph_value);
  // Data of a source constant as f32, for decompositions that re-lay it (a transposed filter, log tables).
  Result<std::vector<float>> data(std::uint32_t source_value) const;

  // Border: state in, state out, window pages, rows, past (see hal::GraphInput / GraphOutput). Each made once.
  std::uint32_t slot_in(std::uint32_t source_state);                            // one slot: shape without the slot axis
  void slot_out(std::uint32_t source_state, std::uint32_t value);
  std::uint32_t page(std::uint32_t source_state);                               // [page_size, nk, d] as f32
  void page_rows(std::uint32_t source_state, std::uint32_t value);              // [T, nk, d]
  std::uint32_t rows();                                                         // i32 [1]
  std::uint32_t past();                                                         // i32 [1]

  std::uint32_t constant(DType dtype, std::vector<std::int64_t> shape, std::vector<std::byte> data);  // equal ones are shared
  std::uint32_t constant(std::vector<std::int64_t> shape, const std::vector<float>& data);
  std::uint32_t constant(std::vector<std::int64_t> shape, const std::vector<std::int32_t>& data);
  std::uint32_t scalar(float value);  // shape [1]

  std::vector<std::int64_t> shape(std::uint32_t value) const;
  // The primitives. Shapes are inferred and checked; a bad shape is remembered and reported by finish().
  std::uint32_t binary(const char* name, std::uint32_t a, std::uint32_t b);  // "add" "sub" "mul" "div" "min" "max" "less"
  std::uint32_t unary(const char* name, std::uint32_t a);                    // "exp" "sqrt" "softplus" "silu"
  std::uint32_t select(std::uint32_t condition, std::uint32_t a, std::uint32_t b);
  std::uint32_t convert(std::uint32_t a, DType to);
  std::uint32_t matmul(std::uint32_t a, std::uint32_t b, bool ta, bool tb);
  std::uint32_t softmax(std::uint32_t a, int axis);
  std::uint32_t reduce(const char* name, std::uint32_t a, int axis);  // "reduce_sum" "reduce_mean" "reduce_max"
  std::uint32_t reshape(std::uint32_t a, std::vector<std::int64_t> shape);
  std::uint32_t transpose(std::uint32_t a, std::vector<int> perm);
  std::uint32_t concat(std::vector<std::uint32_t> parts, int axis);
  std::uint32_t slice(std::uint32_t a, int axis, std::int64_t begin, std::int64_t end);
  std::uint32_t gather(std::uint32_t a, std::uint32_t index);
  std::pair<std::uint32_t, std::uint32_t> topk(std::uint32_t a, int axis, int k);
  std::uint32_t one_hot(std::uint32_t index, std::int64_t depth);

  Result<Decomposed> finish();

 private:
  std::uint32_t add_value(DType dtype, std::vector<std::int64_t> shape);
  std::uint32_t emit(const char* name, std::vector<std::uint32_t> in, DType dtype, std::vector<std::int64_t> shape, const PrimAttrs& attrs = {});
  std::uint32_t border_input(GraphInput::From from, std::uint32_t source_value, DType dtype, std::vector<std::int64_t> shape);

  const Segment& source_;
  Arithmetic arithmetic_;
  Decomposed result_;
  std::map<std::uint32_t, std::uint32_t> map_;      // source value -> graph value
  std::map<std::uint32_t, std::uint32_t> weights_;  // source constant -> f32 graph value
  std::map<std::pair<int, std::uint32_t>, std::uint32_t> border_;
  std::map<std::uint64_t, std::uint32_t> constants_;
  std::optional<Error> error_;
};

}  // namespace switchyard::kernels
