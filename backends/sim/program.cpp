#include "backends/sim/program.h"

#include <algorithm>

#include "hal/shared/host_queue.h"

namespace switchyard::backends::sim {

std::chrono::nanoseconds SimProgram::simulated(double bytes, double flops) const {
  const Speeds& s = state_->description.speeds;
  double ns = s.launch_us * 1e3 + std::max(bytes / s.memory_gb_s, flops / s.compute_gflop_s);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

KernelProgram::KernelProgram(StateRef state, LaunchPlan plan, const Segment& segment)
    : SimProgram(std::move(state)), plan_(std::move(plan)) {
  for (const Launch& l : plan_.launches) {
    double elements = 0;
    for (const Arg& a : l.arguments)
      if (a.value < segment.values.size() && segment.constant(a.value) && segment.values[a.value].shape.size() > 1)
        elements += static_cast<double>(max_elements(segment.values[a.value]));
    weights_.push_back(elements);
  }
}

Result<ProgramRef> KernelProgram::make(const StateRef& state, ConstantStore& store, const Segment& segment,
                                       const Kernels& kernels) {
  const Info& info = state->description.info;
  HAL_TRY(Lowered lowered, kernels.lower(segment, info));
  HAL_TRY(LaunchPlan plan, LaunchPlan::make(segment, std::move(lowered), info.limits.align));
  std::shared_ptr<KernelProgram> program(new KernelProgram(state, std::move(plan), segment));
  for (const LaunchPlan::Held& held : program->plan_.constants) {
    auto make = [&]() -> Result<BufferRef> {
      for (const Constant& c : held.sources)
        if (c.data.empty())
          return Error{Code::invalid_argument,
                       info.id + ": constant " + std::to_string(c.value) +
                           " has no data; a segment without its weights can be claimed, not compiled"};
      HAL_TRY(BufferRef buffer, SimBuffer::make(state, {held.bytes, Memory::device,
                                                        "constant " + std::to_string(held.sources[0].value)}));
      HAL_CHECK(held.write({static_cast<SimBuffer&>(*buffer).data(), held.bytes}));
      return buffer;
    };
    HAL_TRY(BufferRef buffer, store.get(held.key, held.layout, make));
    program->constants_.push_back(std::move(buffer));
  }
  for (LaunchPlan::Held& held : program->plan_.constants) held.sources.clear();  // the host's copies may go
  return ProgramRef(program);
}

Result<std::chrono::nanoseconds> KernelProgram::run(const Run& run, std::vector<Span>* spans) {
  auto dims = padded(run.dims);
  HAL_CHECK(plan_.check(run, dims));
  std::chrono::nanoseconds total{};
  for (std::size_t i = 0; i < plan_.launches.size(); ++i) {
    const Launch& l = plan_.launches[i];
    if (!runs(l, dims)) continue;
    std::vector<void*> pointers;
    double bytes = 0;
    for (const Arg& a : l.arguments) {
      Slice s = plan_.resolve(a, run, constants_);
      std::byte* p = host_bytes(*state_, s);
      if (s.buffer && !p)
        return Error{Code::invalid_argument, state_->description.info.id + ": argument " +
                                                 std::to_string(pointers.size()) + " of " + l.entry +
                                                 " lies on another device"};
      pointers.push_back(p);
      bytes += s.buffer ? static_cast<double>(s.size()) : 0.0;
    }
    std::vector<std::byte> scratch(l.thread_scratch + 64);
    auto address = reinterpret_cast<std::uintptr_t>(scratch.data());
    CallArgs args{sizeof(CallArgs), nullptr, pointers.data(),    dims.data(),
                  l.args.data(),    0,       l.grid(l, dims)[0], scratch.data() + (64 - address % 64) % 64};
    auto begin = steady_now();
    l.call(&args);
    auto time = simulated(bytes, 2 * weights_[i] * static_cast<double>(std::max<std::int64_t>(dims[0], 1)));
    if (spans) {
      if (state_->description.logical_clock)
        spans->push_back({0, l.node, total, total + time});
      else
        spans->push_back({0, l.node, begin, steady_now()});
    }
    total += time;
  }
  return total;
}

Result<ProgramRef> GraphProgram::make(const StateRef& state, const Segment& segment, const Kernels& kernels) {
  const bool half = state->description.half;
  HAL_TRY(Decomposed graph, kernels.decompose(segment, half ? Arithmetic::f16 : Arithmetic::f32));
  HAL_TRY(Evaluator evaluator, Evaluator::make(graph.graph, half));
  const Description& d = state->description;
  if (evaluator.constant_bytes() > d.heap.budget)
    return Error{Code::out_of_memory, d.info.id + ": a graph with constants of " +
                                          std::to_string(evaluator.constant_bytes()) + " bytes, the budget is " +
                                          std::to_string(d.heap.budget)};
  std::shared_ptr<GraphProgram> program(new GraphProgram(state, std::move(evaluator)));
  program->source_ = segment;
  program->source_.constants.clear();
  program->graph_ = std::move(graph);
  program->graph_.graph.constants.clear();
  return ProgramRef(program);
}

Result<std::chrono::nanoseconds> GraphProgram::run(const Run& run, std::vector<Span>* spans) {
  HAL_TRY(GraphBinding binding, bind_graph(source_, graph_, run));
  double bytes = static_cast<double>(evaluator_.constant_bytes());
  auto begin = steady_now();
  std::vector<Array> inputs;
  for (std::size_t i = 0; i < binding.inputs.size(); ++i) {
    const Tensor& t = graph_.graph.values[graph_.graph.inputs[i]];
    std::vector<std::byte> raw(max_bytes(t));
    HAL_CHECK(read_part(binding.inputs[i], raw));
    HAL_TRY(Array array, to_array(t, raw));
    inputs.push_back(std::move(array));
    bytes += static_cast<double>(raw.size());
  }
  HAL_TRY(std::vector<Array> outputs, evaluator_.run(std::move(inputs)));
  // All is read before anything is written: a slot may be both.
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& t = graph_.graph.values[graph_.graph.outputs[i]];
    std::vector<std::byte> raw(max_bytes(t));
    HAL_CHECK(to_bytes(outputs[i], t.dtype, raw));
    HAL_CHECK(write_part(binding.outputs[i], raw));
    bytes += static_cast<double>(raw.size());
  }
  auto time = simulated(bytes, evaluator_.flops());
  if (spans) {
    if (state_->description.logical_clock)
      spans->push_back({0, 0, {}, time});
    else
      spans->push_back({0, 0, begin, steady_now()});
  }
  return time;
}

}  // namespace switchyard::backends::sim
