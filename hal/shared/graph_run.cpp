#include "hal/shared/graph_run.h"

#include <algorithm>

#include "hal/shared/half.h"

namespace switchyard::hal {
namespace {

struct Step {
  std::int32_t row_begin = 0, rows = 0, slot_in = 0, slot_out = 0, past = 0, page = 0;
};

Error wrong(std::string text) { return Error{Code::invalid_argument, "run of a graph: " + std::move(text)}; }
std::string range(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  return std::string(name) + " is " + std::to_string(value) + ", allowed are " + std::to_string(low) + " to " +
         std::to_string(high);
}

// Where a segment's value lies in Run::slices.
std::size_t index_of(const Segment& s, std::uint32_t value) {
  std::size_t i = 0;
  for (const auto* list : {&s.inputs, &s.states, &s.outputs})
    for (auto v : *list) {
      if (v == value) return i;
      ++i;
    }
  return i;
}

// The output of the same number may also be an input (a value passed through); outputs are looked up in their own list.
std::size_t output_of(const Segment& s, std::uint32_t value) {
  auto at = std::find(s.outputs.begin(), s.outputs.end(), value) - s.outputs.begin();
  return s.inputs.size() + s.states.size() + static_cast<std::size_t>(at);
}

Result<Slice> part_of(const Run& run, std::size_t index, Bytes offset, Bytes bytes) {
  const Slice& s = run.slices[index];
  if (!s.buffer || offset + bytes > s.size())
    return wrong("slice " + std::to_string(index) + " has " + std::to_string(s.buffer ? s.size() : 0) +
                 " bytes, needs " + std::to_string(offset + bytes));
  return Slice{s.buffer, s.offset + offset, bytes};
}

Status check_dims(const Segment& s, const Run& run) {
  for (const Tensor& t : s.values)
    for (const Dim& d : t.shape) {
      auto symbol = static_cast<std::size_t>(d.symbol);
      if (d.symbol >= 0 && symbol < run.dims.size() && run.dims[symbol] != d.max)
        return wrong("dims[" + std::to_string(symbol) + "] is " + std::to_string(run.dims[symbol]) +
                     ", the program was compiled for " + std::to_string(d.max));
    }
  return ok();
}

Result<Step> read_step(const Segment& s, const Decomposed& g, const Run& run) {
  Step step;
  if (g.sequences != no_value) {
    std::int32_t row[5];
    HAL_TRY(Slice slice, part_of(run, index_of(s, g.sequences), 0, sizeof row));
    HAL_CHECK(slice.buffer->read(slice.offset, std::as_writable_bytes(std::span(row))));
    step = {row[0], row[1], row[2], row[3], row[4], 0};
    if (step.row_begin != 0) return wrong(range("row_begin of its one sequence", step.row_begin, 0, 0));
    if (step.rows < 1 || step.rows > g.rows.max) return wrong(range("rows", step.rows, 1, g.rows.max));
    if (step.past < 0) return wrong("past is " + std::to_string(step.past));
  }
  if (g.page_table != no_value) {
    HAL_TRY(Slice slice, part_of(run, index_of(s, g.page_table), 0, 4));
    HAL_CHECK(slice.buffer->read(slice.offset, std::as_writable_bytes(std::span(&step.page, 1))));
  }
  return step;
}

}  // namespace

Result<GraphBinding> bind_graph(const Segment& s, const Decomposed& g, const Run& run) {
  const std::size_t slices = s.inputs.size() + s.states.size() + s.outputs.size();
  if (run.slices.size() != slices)
    return wrong(std::to_string(run.slices.size()) + " slices, the program needs " + std::to_string(slices));
  HAL_CHECK(check_dims(s, run));
  HAL_TRY(Step step, read_step(s, g, run));

  GraphBinding binding;
  binding.rows = step.rows;
  binding.past = step.past;
  // One element of a state's first axis (a slot, a page). The slice says how many there are: its buffer may have grown.
  auto element = [&](std::uint32_t state, std::int64_t index, const char* name, std::int64_t low) -> Result<GraphPart> {
    const Tensor& t = s.values[state];
    const std::size_t at = index_of(s, state);
    const Bytes bytes = max_bytes(t) / static_cast<Bytes>(t.shape[0].max);
    const auto count = run.slices[at].buffer ? static_cast<std::int64_t>(run.slices[at].size() / bytes) : 0;
    if (index < low || index >= count) return wrong(range(name, index, low, count - 1));
    HAL_TRY(Slice slice, part_of(run, at, static_cast<Bytes>(index) * bytes, bytes));
    return GraphPart{slice, 0, t.dtype, DType::f32, bytes};
  };
  auto page = [&](std::uint32_t state) -> Result<GraphPart> {
    const std::int64_t window = s.values[state].shape[1].max;
    if (step.past + step.rows > window)
      return Error{Code::unsupported, "run of a graph: positions up to " + std::to_string(step.past + step.rows - 1) +
                                          " (past " + std::to_string(step.past) + ", rows " +
                                          std::to_string(step.rows) + ") do not fit its window of one page of " +
                                          std::to_string(window) + "; use larger pages or another device"};
    return element(state, step.page, "page_table[0][0]", 0);
  };
  auto row = [&](std::uint32_t state, const GraphPart& p) {
    return p.slice.bytes / static_cast<Bytes>(s.values[state].shape[1].max);
  };

  for (std::size_t i = 0; i < g.inputs.size(); ++i) {
    const GraphInput& in = g.inputs[i];
    GraphPart part;
    part.wanted = g.graph.values[g.graph.inputs[i]].dtype;
    switch (in.from) {
      case GraphInput::From::value: {
        const Tensor& t = s.values[in.value];
        HAL_TRY(part.slice, part_of(run, index_of(s, in.value), 0, max_bytes(t)));
        part.stored = t.dtype;
        part.defined = part.slice.bytes;
        if (g.sequences != no_value && g.rows.symbol >= 0 && !t.shape.empty() && t.shape[0].symbol == g.rows.symbol)
          part.defined = part.slice.bytes / static_cast<Bytes>(g.rows.max) * static_cast<Bytes>(step.rows);
        break;
      }
      case GraphInput::From::slot_in: {
        HAL_TRY(part, element(in.value, step.slot_in, "slot_in", 0));
        break;
      }
      case GraphInput::From::page: {
        HAL_TRY(part, page(in.value));
        part.defined = row(in.value, part) * static_cast<Bytes>(step.past);
        break;
      }
      case GraphInput::From::rows:
        part.number = step.rows;
        part.stored = DType::i32;
        break;
      case GraphInput::From::past:
        part.number = step.past;
        part.stored = DType::i32;
        break;
    }
    binding.inputs.push_back(std::move(part));
  }
  for (std::size_t i = 0; i < g.outputs.size(); ++i) {
    const GraphOutput& out = g.outputs[i];
    GraphPart part;
    switch (out.to) {
      case GraphOutput::To::value: {
        const Tensor& t = s.values[out.value];
        HAL_TRY(part.slice, part_of(run, output_of(s, out.value), 0, max_bytes(t)));
        part.stored = t.dtype;
        part.defined = part.slice.bytes;
        break;
      }
      case GraphOutput::To::slot_out: {
        HAL_TRY(part, element(out.value, step.slot_out, "slot_out", 1));
        break;
      }
      case GraphOutput::To::page_rows: {
        HAL_TRY(part, page(out.value));
        Bytes one = row(out.value, part);
        part.slice = {part.slice.buffer, part.slice.offset + one * static_cast<Bytes>(step.past),
                      one * static_cast<Bytes>(step.rows)};
        part.defined = part.slice.bytes;
        break;
      }
    }
    part.wanted = g.graph.values[g.graph.outputs[i]].dtype;
    binding.outputs.push_back(std::move(part));
  }
  return binding;
}

namespace {

bool needs_half(const GraphPart& p) { return p.stored == DType::f16 && p.wanted == DType::f32; }

Status same_or_half(const GraphPart& p) {
  if (p.stored == p.wanted || needs_half(p)) return ok();
  return Error{Code::internal, std::string("run of a graph: a border value kept as ") + to_string(p.stored) +
                                   " that the graph wants as " + to_string(p.wanted)};
}

}  // namespace

Status read_part(const GraphPart& p, std::span<std::byte> to) {
  HAL_CHECK(same_or_half(p));
  std::fill(to.begin(), to.end(), std::byte{0});
  if (!p.slice.buffer) {
    std::memcpy(to.data(), &p.number, std::min(to.size(), sizeof p.number));
    return ok();
  }
  if (!needs_half(p))
    return p.slice.buffer->read(p.slice.offset, to.first(std::min<std::size_t>(to.size(), p.defined)));
  std::vector<std::uint16_t> halves(std::min<std::size_t>(p.defined / 2, to.size() / 4));
  HAL_CHECK(p.slice.buffer->read(p.slice.offset, std::as_writable_bytes(std::span(halves))));
  for (std::size_t i = 0; i < halves.size(); ++i) {
    float f = half_to_float(halves[i]);
    std::memcpy(to.data() + 4 * i, &f, 4);
  }
  return ok();
}

Status write_part(const GraphPart& p, std::span<const std::byte> from) {
  HAL_CHECK(same_or_half(p));
  if (!needs_half(p))
    return p.slice.buffer->write(p.slice.offset, from.first(std::min<std::size_t>(from.size(), p.defined)));
  std::vector<std::uint16_t> halves(std::min<std::size_t>(p.defined / 2, from.size() / 4));
  for (std::size_t i = 0; i < halves.size(); ++i) {
    float f;
    std::memcpy(&f, from.data() + 4 * i, 4);
    halves[i] = float_to_half(f);
  }
  return p.slice.buffer->write(p.slice.offset, std::as_bytes(std::span(halves)));
}

}  // namespace switchyard::hal
