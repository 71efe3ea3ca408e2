// What an op is: its checks, its meaning (a double-precision reference), its cost, its primitives, its cases, its
// kernels. One folder per op fills one OpInfo; ops.def lists them; library.cpp, the tests and the benchmarks read the
// list.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hal/kernels.h"

namespace switchyard::kernels {

using namespace hal;  // the vocabulary of this whole folder

class GraphWriter;  // kernels/primitives.h

// Operations and bytes that must move at least once (weights once, states once in and once out), at given dims.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

// Host arrays for reference(): every value of the segment as doubles (integers exactly, quantised types dequantised).
struct ReferenceArgs {
  const Segment& segment;
  const Node& node;
  Dims dims;
  std::vector<std::vector<double>>& values;  // by segment value; states are updated in place

  bool has(std::size_t i) const { return i < node.in.size() && node.in[i] != no_value; }
  std::vector<double>& in(std::size_t i) { return values[node.in[i]]; }
  std::vector<double>& out(std::size_t i);  // resized to its shape
  std::int64_t dim(std::uint32_t value, std::size_t axis) const {
    return resolve(segment.values[value].shape[axis], dims);
  }
  std::int64_t in_dim(std::size_t i, std::size_t axis) const { return dim(node.in[i], axis); }
};

// How a case fills a value: uniform in [lo, hi], or exactly `values`.
struct Fill {
  double lo = -1, hi = 1;
  std::vector<double> values;
};

// A shape to test and to time. The segment has one node of the op, or the chain the op is always used in.
struct Case {
  std::string name;
  Segment segment;  // constants have no data yet
  std::vector<std::int64_t> dims;
  std::map<std::uint32_t, Fill> fills;  // by value; default Fill otherwise
  bool timed = false;                   // worth a line in `bench`
  bool tested = true;                   // small enough for the double reference in every run
  double tolerance = 0;                 // where it must be wider than the op's: rounded activations inside the op
};

// Compared per output: largest |difference| over the largest |reference|.
struct Tolerance {
  double f32 = 1e-5;
  const char* why = "";
};

// One implementation. lower() appends launches to `lowered` with Launch::node = node.
struct Kernel {
  const char* variant;  // "avx512", "opencl_c", "vulkan": a name for Node::variant, profiles and reports
  Format format;
  std::vector<const char*> features;  // all must be in Info::features
  // Empty: would take it. Else why not, in words a user can act on. May be null.
  std::optional<std::string> (*refuse)(const Segment& segment, const Node& node, const Info& info);
  Status (*lower)(const Segment& segment, std::uint32_t node, const Info& info, Lowered& lowered);
};

// What a matrix op may do to its input rows before it multiplies them.
enum class Activations : std::int32_t {
  exact,    // computed on as they are, in f32
  rounded,  // may be rounded. Beside quantised weights to 8 bits, in blocks of 32 along K with one f32 scale each:
            // scale = max |x| / 127, q = nearest integer (ties to even) of x / scale. Beside bf16 weights to bf16.
};

// What an op's products are made of; decides which of a device's limits binds it. f32: also of narrower inputs that are
// computed on in f32. int8: bytes summed in i32. bf16: pairs summed in f32.
enum class Products : std::int32_t { f32, int8, bf16 };
constexpr Products all_products[] = {Products::f32, Products::int8, Products::bf16};
const char* to_string(Products products);

struct OpInfo {
  const char* name;  // "ssm_scan@1"
  Status (*check)(const Segment& segment, const Node& node);
  Cost (*cost)(const Segment& segment, const Node& node, Dims dims);
  Status (*reference)(ReferenceArgs& args);
  Status (*decompose)(const Segment& segment, const Node& node, GraphWriter& graph);  // null: not for graph devices
  std::vector<Case> (*cases)();
  Tolerance tolerance;
  std::vector<Kernel> (*kernels)();  // best first
  // Why decompose would refuse this node whose check has passed; nullopt: it would not. Null: it takes all of them.
  std::optional<std::string> (*no_graph)(const Segment& segment, const Node& node) = nullptr;
  // What the node lets a device do to its input rows. Null: exact.
  Activations (*activations)(const Node& node) = nullptr;
  // Null: of its activations and its first constant's type; see products_of().
  Products (*products)(const Segment& segment, const Node& node) = nullptr;
  // Its CPU kernels read a constant as rows16 (kernels/common/rows16.h) as well as in its own form.
  bool reads_rows16_too = false;
  // Rows of a sequence that come out the same, bit for bit, in one step as one at a time, on devices that promise it;
  // of longer ones the op's kernels may take many at once. 0: whatever its length.
  std::int64_t step_order_rows = 0;
};

// The metadata every state op takes: i32 [S, 5], one row per sequence of the step.
//   row_begin, rows:   the sequence's rows of the step are [row_begin, row_begin + rows)
//   slot_in, slot_out: recurrent state is read from slot_in and left in slot_out (equal: in place). Slot 0 holds zeros and
//                      is never written: a fresh sequence starts from it.
//   past:              tokens of this sequence before the step
struct Sequence {
  static constexpr std::int64_t width = 5;
  std::int32_t row_begin, rows, slot_in, slot_out, past;
};

// Symbols of the dims that differ from step to step. Such a dim carries its symbol even where it is fixed (min == max),
// so kernels always read it from Run::dims.
constexpr std::int16_t sym_rows = 0;       // T: tokens (rows) of the step
constexpr std::int16_t sym_sequences = 1;  // S
constexpr std::int16_t sym_logits = 2;     // R: rows of which logits are wanted

// Checks shared by the ops: "gemm: input 0 (x) is f16 [4, 7], expected f32 [*, 64]".
Status expect(const Segment& segment, const Node& node, std::size_t in, const char* name,
              std::initializer_list<DType> dtypes,
              std::initializer_list<std::int64_t> shape);  // -1: any size
std::string to_string(const Tensor& tensor);
// For kernels that read the count of rows or sequences from Run::dims: why they would refuse a value without a symbol.
std::optional<std::string> refuse_symbol(const Segment& segment, std::uint32_t value, const char* name);
std::int64_t shape_of(const Segment& segment, std::uint32_t value, std::size_t axis);  // the largest
const std::vector<DType>& weight_types();  // F32 F16 BF16 Q8_0 Q4_0 Q4_K Q5_K Q6_K; see also kernels/common/quant.h

}  // namespace switchyard::kernels
