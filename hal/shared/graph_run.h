// Hangs a primitive graph on a run: which bytes of the run's slices each border value of the graph reads or writes.
//
// `sequences` and `page_table` are read on the host, so the work that writes them must be done (a queue's waits are). A
// state's slot, a page and its new rows become sub-slices. Pages kept as f16 are f32 to the graph: read_part and
// write_part convert. A device that binds the slices themselves, instead of copying, must: take another buffer for
// slot_out than for slot_in; convert where stored != wanted; and see that the undefined part (beyond `defined`) holds
// numbers, not NaN.
#pragma once
#include "hal/kernels.h"
#include "hal/program.h"

namespace switchyard::hal {

struct GraphPart {
  Slice slice;  // no buffer: `number` is the value, i32 [1]
  std::int32_t number = 0;
  DType stored = DType::f32, wanted = DType::f32;  // in the slice, in the graph
  Bytes defined = 0;  // inputs: bytes of the slice that mean something; the rest (padding rows, the window past the
                      // context) is zero to the graph. outputs: bytes to write; the graph's further rows are padding
};

struct GraphBinding {
  std::vector<GraphPart> inputs, outputs;  // one per graph.inputs, graph.outputs
  std::int64_t rows = 0, past = 0;         // of the one sequence
};

// source: the segment `graph` was made from; a state may have more slots or pages than its shape says, as its slice
// has. Errors name the numbers: more rows than the graph has, a slot or page out of range (invalid_argument); a context
// longer than the window (unsupported).
Result<GraphBinding> bind_graph(const Segment& source, const Decomposed& graph, const Run& run);

// `to` and `from` have the graph value's whole size.
Status read_part(const GraphPart& part, std::span<std::byte> to);
Status write_part(const GraphPart& part, std::span<const std::byte> from);

}  // namespace switchyard::hal
