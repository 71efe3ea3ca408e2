// The two kinds of programs a sim device runs: launches of CPU kernels, and primitive graphs.
#pragma once
#include "backends/sim/buffer.h"
#include "backends/sim/evaluator.h"
#include "hal/shared/graph_run.h"
#include "hal/shared/launch_plan.h"

namespace switchyard::backends::sim {

class SimProgram : public Program {
 public:
  explicit SimProgram(StateRef state) : state_(std::move(state)) {}
  // Runs on the calling thread. spans is null unless asked for. Gives the simulated time; a node's share is its span.
  virtual Result<std::chrono::nanoseconds> run(const Run& run, std::vector<Span>* spans) = 0;
  const State* state() const { return state_.get(); }

 protected:
  // Roofline: the launch, and the longer of moving and computing.
  std::chrono::nanoseconds simulated(double bytes, double flops) const;
  StateRef state_;
};

class KernelProgram final : public SimProgram {
 public:
  static Result<ProgramRef> make(const StateRef& state, ConstantStore& store, const Segment& segment,
                                 const Kernels& kernels);
  Bytes resident() const override { return plan_.resident; }
  Bytes scratch() const override { return plan_.scratch; }
  Result<std::chrono::nanoseconds> run(const Run& run, std::vector<Span>* spans) override;

 private:
  KernelProgram(StateRef state, LaunchPlan plan, const Segment& segment);
  LaunchPlan plan_;
  std::vector<BufferRef> constants_;
  std::vector<double> weights_;  // by launch: elements of the matrices it reads, for the simulated time
};

class GraphProgram final : public SimProgram {
 public:
  static Result<ProgramRef> make(const StateRef& state, const Segment& segment, const Kernels& kernels);
  Bytes resident() const override { return evaluator_.constant_bytes(); }
  Bytes scratch() const override { return 0; }  // a graph device keeps its own
  Result<std::chrono::nanoseconds> run(const Run& run, std::vector<Span>* spans) override;

 private:
  GraphProgram(StateRef state, Evaluator evaluator) : SimProgram(std::move(state)), evaluator_(std::move(evaluator)) {}
  Segment source_;    // without its constants: shapes and the order of slices
  Decomposed graph_;  // likewise
  Evaluator evaluator_;
};

}  // namespace switchyard::backends::sim
