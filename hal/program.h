// Program and Queue: run it. Commands of one submission run in order.
#pragma once
#include <chrono>
#include <variant>

#include "hal/segment.h"
#include "hal/timeline.h"

namespace switchyard::hal {

// Any thread.
struct Program {
  virtual ~Program() = default;
  virtual Bytes resident() const = 0;  // device bytes it holds; copies shared by key count in each holder
  virtual Bytes scratch() const = 0;   // Run::scratch must have this many bytes
};
using ProgramRef = std::shared_ptr<Program>;

// Copies src to dst; sizes must match. Either side may lie on another device: then staged through host memory.
struct Copy {
  Slice src, dst;
};
// Fills with a repeated 32-bit word; offset and size are multiples of 4.
struct Fill {
  Slice dst;
  std::uint32_t word = 0;
};
// slices: inputs, states, outputs in the segment's order. dims: one number per symbol, max_symbols at most.
// A state's slice may be longer than its declared shape, whose first dimension (slots, pages) is only the least: state
// grows without a new program, and a kernel may touch the whole slice.
struct Run {
  ProgramRef program;
  std::vector<Slice> slices;
  std::vector<std::int64_t> dims;
  Slice scratch;  // belongs to the run, so two queues cannot race on it
};
using Command = std::variant<Copy, Fill, Run>;

struct Span {
  std::uint32_t command = 0, node = 0;
  std::chrono::nanoseconds begin{}, end{};
};
// On the host's steady clock. Written before the submission's signal is reached.
struct Timing {
  std::chrono::nanoseconds begin{}, end{};
  bool want_spans = false;  // ask for per-node times; may cost barriers
  std::vector<Span> spans;
};

struct Submission {
  std::vector<Point> wait;  // reached or already submitted, on any device
  std::vector<Command> commands;
  std::vector<Point> signal;
  std::shared_ptr<Timing> timing = nullptr;
};

// One thread at a time. A submission keeps what it uses alive until it has signalled.
struct Queue {
  virtual ~Queue() = default;  // waits for the work submitted
  virtual Status submit(Submission submission) = 0;
};

}  // namespace switchyard::hal
