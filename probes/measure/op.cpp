#include <algorithm>

#include "kernels/library.h"
#include "probes/measure/measure.h"

namespace switchyard::probes {

hal::Result<std::vector<OpEntry>> measure_op(hal::Device& device, const kernels::OpInfo& op, const Effort& effort,
                                             std::vector<std::string>& notes, std::span<const std::string> only) {
  std::vector<OpEntry> entries;
  for (const kernels::Case& c : op.cases()) {
    if (!c.timed || (!only.empty() && std::find(only.begin(), only.end(), c.name) == only.end())) continue;
    auto measured = measure_segment(device, c.segment, c.dims, c.fills, effort);
    if (!measured) {
      if (measured.error().code == hal::Code::device_lost) return measured.error();
      notes.push_back(std::string(op.name) + " " + c.name + ": " + hal::describe(measured.error()));
      continue;
    }
    kernels::Cost cost = kernels::cost(c.segment, c.dims);
    OpEntry e{op.name,    c.name,           "", "", kernels::Products::f32, c.dims.empty() ? 0 : c.dims[0], cost.flops,
              cost.bytes, measured->seconds};
    // As scheduler/cost looks it up: the first constant of the node that is the op.
    for (const hal::Node& n : c.segment.nodes)
      if (n.op == op.name) {
        e.variant = n.variant;
        e.products = kernels::products_of(c.segment, n);
        if (auto v = kernels::first_constant(c.segment, n); v != hal::no_value)
          e.weights = hal::to_string(c.segment.values[v].dtype);
        break;
      }
    entries.push_back(std::move(e));
  }
  return entries;
}

}  // namespace switchyard::probes
