// Routing trace: every choice that a model's routers made, in order, kept in a file.
//
// File: one line of JSON ("switchyard.routing/1": model, model_hash, layers, experts, top_k, expert_bytes, steps,
// tokens, id_bytes), then little-endian: the rows of each step, u32 [steps]; the ids, u8 or u16 as id_bytes says,
// [tokens, layers, top_k].
#pragma once
#include <span>
#include <string>

#include "hal/info.h"
#include "scheduler/experts/usage.h"

namespace switchyard::scheduler {

struct RoutingTrace {
  std::string model;
  std::uint64_t model_hash = 0;
  ExpertShape shape;
  std::vector<hal::Bytes> expert_bytes;  // of one expert of each layer: its weights
  std::vector<std::uint32_t> step_rows;  // a token is a row of a step
  std::vector<std::uint16_t> chosen;     // [tokens, layers, top_k]

  std::int64_t tokens() const;
  hal::Status add(const StepRouting& step);  // as check(step, shape)
};

// An empty trace for `model`. unsupported: it has no experts, more than 65536 per layer, or more than 2^22 in all.
hal::Result<RoutingTrace> trace_for(const models::Model& model);
// invalid_argument: the trace is of another model.
hal::Status belongs_to(const RoutingTrace& trace, const models::Model& model);

// io: the file cannot be written.
hal::Status save(const RoutingTrace& trace, const std::string& path);
// not_found; io: no such schema, cut or too long, sizes that contradict each other, an id out of range, with its place.
hal::Result<RoutingTrace> load_trace(const std::string& path);

// Some tokens of a trace, which must outlive it: first, first + stride, ... below last.
struct TraceView {
  const RoutingTrace* trace = nullptr;
  std::int64_t first = 0, last = 0, stride = 1;
  std::int64_t size() const { return last > first ? (last - first + stride - 1) / stride : 0; }
  std::span<const std::uint16_t> at(std::int64_t i, std::int64_t layer) const {
    const ExpertShape& s = trace->shape;
    return {trace->chosen.data() + ((first + i * stride) * s.layers + layer) * s.top_k,
            static_cast<std::size_t>(s.top_k)};
  }
};
TraceView whole(const RoutingTrace& trace);
TraceView half(const RoutingTrace& trace, bool second);
UsageHistogram usage_of(const TraceView& view);

}  // namespace switchyard::scheduler
