// Runs a primitive graph (hal/shared/primitive.h) on the host, in plain loops: what the simulated graph device
// computes. Independent of the ops' references: it knows primitives only.
#pragma once
#include "hal/kernels.h"
#include "hal/shared/primitive.h"

namespace switchyard::backends::sim {

using namespace hal;

// Floats of any type are kept as float, integers and booleans as int32.
struct Array {
  std::vector<std::int64_t> shape;
  std::shared_ptr<std::vector<float>> f;  // one of the two is set
  std::shared_ptr<std::vector<std::int32_t>> i;
  std::int64_t count() const;
};

// From and to the bytes of a tensor. i4 and u4: two to a byte, the first in the low nibble.
Result<Array> to_array(const Tensor& tensor, std::span<const std::byte> bytes);
Status to_bytes(const Array& array, DType dtype, std::span<std::byte> bytes);

// One primitive: fills out (shape set, data not).
using Primitive = Status (*)(const PrimAttrs& attrs, std::span<const Array> in, std::span<Array> out, DType to);
Primitive find_primitive(std::string_view name);  // "prim.add"; null: unknown

// c [m, n] = a [m, k] b, b being [k, n], or [n, k] if tb. Sums in f32.
void matmul(const float* a, const float* b, float* c, std::int64_t m, std::int64_t n, std::int64_t k, bool tb);

class Evaluator {
 public:
  // half: every float is rounded to IEEE half after each primitive, as are constants and inputs; matmul sums stay f32.
  // Nodes that depend on constants only are computed here, once.
  static Result<Evaluator> make(const Segment& graph, bool half);
  // One array per graph.inputs; gives one per graph.outputs. Any thread. A gather
  // index out of range is invalid_argument.
  Result<std::vector<Array>> run(std::vector<Array> inputs) const;

  double flops() const { return flops_; }                   // of one run
  Bytes constant_bytes() const { return constant_bytes_; }  // as the graph stores them
  std::size_t nodes() const { return steps_.size(); }       // left after folding

 private:
  struct Step {
    Primitive primitive;
    PrimAttrs attrs;
    std::uint32_t node;
    std::vector<std::uint32_t> in, out, last;  // last: values nobody reads afterwards
  };
  Status execute(const Step& step, std::vector<Array>& values) const;

  std::vector<Tensor> tensors_;
  std::vector<std::string> names_;  // of nodes, for errors
  std::vector<std::uint32_t> inputs_, outputs_;
  std::vector<Step> steps_;
  std::vector<Array> constants_;  // by value; empty for others
  bool half_ = false;
  double flops_ = 0;
  Bytes constant_bytes_ = 0;
};

}  // namespace switchyard::backends::sim
