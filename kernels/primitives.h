// The writer that decompositions use: one primitive graph (hal/shared/primitive.h) for a whole segment.
//
// Values are graph values unless called `source`. Every function checks and infers shapes; the first mistake is kept
// and returned by finish(), so a decomposition reads as the formula it is. Equal nodes and equal constants are written
// once: a mask or a table that every layer needs costs one layer's nodes.
#pragma once
#include "hal/shared/primitive.h"
#include "kernels/op.h"

namespace switchyard::kernels {

class GraphWriter {
 public:
  GraphWriter(const Segment& source, Arithmetic arithmetic);
  Arithmetic arithmetic() const { return arithmetic_; }
  const Segment& source() const { return source_; }

  // The graph's view of a source value: an input, an f32 or i32 constant, or an earlier node's output.
  std::uint32_t of(std::uint32_t source_value);
  // Records what a source value (a node's output) became.
  void set(std::uint32_t source_value, std::uint32_t graph_value);

  // A constant of any weight type as an f32 value [same shape], kept compressed in the graph where the type allows it.
  std::uint32_t weight(std::uint32_t source_value);
  // A constant [L, R, C] as f32 [R, L, C]: re-laid when packed, compressed as weight().
  std::uint32_t weight_swapped(std::uint32_t source_value);
  // Rows `index` (i32 [n]) of a constant [R, C] as f32 [n, C]: only the rows picked are expanded.
  std::uint32_t weight_rows(std::uint32_t source_value, std::uint32_t index);
  // Data of a source constant as f32, for decompositions that re-lay it (a transposed filter, log tables).
  Result<std::vector<float>> data(std::uint32_t source_value) const;

  // Every op that has a `sequences` input says so first. source_x: any value of T rows. unsupported unless there is one
  // sequence, and all ops of the segment name the same values. page_table: no_value where the op has none.
  Status step(std::uint32_t source_sequences, std::uint32_t source_x, std::uint32_t source_page_table = no_value);
  // Border: state in, state out, window pages, rows, past (see hal::GraphInput / GraphOutput). Each made once.
  std::uint32_t slot_in(std::uint32_t source_state);  // one slot: shape without the slot axis
  void slot_out(std::uint32_t source_state, std::uint32_t value);
  std::uint32_t page(std::uint32_t source_state);                   // [page_size, nk, d] as f32
  void page_rows(std::uint32_t source_state, std::uint32_t value);  // f32 [T, nk, d]
  std::uint32_t rows();                                             // i32 [1]
  std::uint32_t past();                                             // i32 [1]
  std::uint32_t valid(std::int64_t rows);                           // f32 [T, 1]: 1 in real rows, 0 in padding

  std::uint32_t constant(DType dtype, std::vector<std::int64_t> shape,
                         std::vector<std::byte> data);  // equal ones are shared
  std::uint32_t constant(std::vector<std::int64_t> shape, const std::vector<float>& data);
  std::uint32_t constant(std::vector<std::int64_t> shape, const std::vector<std::int32_t>& data);
  std::uint32_t iota(std::vector<std::int64_t> shape);  // i32 0, 1, 2 ... in this shape
  std::uint32_t scalar(float value);                    // shape [1]

  std::vector<std::int64_t> shape(std::uint32_t value) const;
  std::uint32_t binary(const char* name, std::uint32_t a,
                       std::uint32_t b);                   // "add" "sub" "mul" "div" "min" "max" "less"
  std::uint32_t unary(const char* name, std::uint32_t a);  // "exp" "sqrt" "softplus" "silu"
  std::uint32_t add(std::uint32_t a, std::uint32_t b) { return binary("add", a, b); }
  std::uint32_t sub(std::uint32_t a, std::uint32_t b) { return binary("sub", a, b); }
  std::uint32_t mul(std::uint32_t a, std::uint32_t b) { return binary("mul", a, b); }
  std::uint32_t div(std::uint32_t a, std::uint32_t b) { return binary("div", a, b); }
  std::uint32_t min(std::uint32_t a, std::uint32_t b) { return binary("min", a, b); }
  std::uint32_t max(std::uint32_t a, std::uint32_t b) { return binary("max", a, b); }
  std::uint32_t less(std::uint32_t a, std::uint32_t b) { return binary("less", a, b); }
  std::uint32_t exp(std::uint32_t a) { return unary("exp", a); }
  std::uint32_t sqrt(std::uint32_t a) { return unary("sqrt", a); }
  std::uint32_t softplus(std::uint32_t a) { return unary("softplus", a); }
  std::uint32_t silu(std::uint32_t a) { return unary("silu", a); }
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
  // A packed constant taken apart; absent parts are no_value. value = scale * (q - zero), groups along the row.
  struct Parts {
    std::uint32_t q = no_value, zero = no_value, scale = no_value;
  };
  Parts parts(std::uint32_t source_value, bool swapped);
  std::uint32_t expand(const Parts& parts, std::vector<std::int64_t> shape);
  std::uint32_t make_constant(DType dtype, std::vector<std::int64_t> shape, std::uint64_t key,
                              std::span<const std::byte> data, std::shared_ptr<const void> owner);
  std::uint32_t add_value(DType dtype, const std::vector<std::int64_t>& shape);
  std::uint32_t emit(const char* name, std::vector<std::uint32_t> in, DType dtype, std::vector<std::int64_t> shape,
                     const PrimAttrs& attrs = {});
  std::uint32_t border_input(GraphInput::From from, std::uint32_t source_value, DType dtype,
                             std::vector<std::int64_t> shape);
  void border_output(GraphOutput::To to, std::uint32_t source_value, std::uint32_t value);
  std::uint32_t fail(const std::string& text, DType dtype, std::vector<std::int64_t> shape);
  bool axis_of(const char* name, std::uint32_t a, int& axis);
  DType dtype(std::uint32_t value) const { return result_.graph.values[value].dtype; }

  const Segment& source_;
  Arithmetic arithmetic_;
  Decomposed result_;
  std::map<std::uint32_t, std::uint32_t> map_;                       // source value -> graph value
  std::map<std::pair<std::uint32_t, bool>, std::uint32_t> weights_;  // source constant, swapped -> f32 graph value
  std::map<std::pair<std::uint32_t, bool>, Parts> parts_;
  std::map<std::pair<int, std::uint32_t>, std::uint32_t> border_;
  std::map<std::pair<int, std::uint32_t>, std::uint32_t> border_out_;
  std::multimap<std::uint64_t, std::uint32_t> constants_;  // content hash -> graph value
  std::map<std::string, std::uint32_t> emitted_;           // node as bytes -> its index
  std::optional<Error> error_;
};

}  // namespace switchyard::kernels
