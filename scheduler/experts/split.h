// A unit whose mixture of experts is too large for one device, as parts for two: some of the experts here, the others
// there.
#pragma once
#include <vector>

#include "hal/result.h"
#include "hal/segment.h"

namespace switchyard::scheduler {

struct ExpertSplit {
  static constexpr std::size_t whole = ~std::size_t{0};
  struct Source {
    std::size_t part = whole;  // whose output it is; whole: an input of the whole
    std::uint32_t index = 0;   // into that part's outputs, or into the whole's inputs
  };
  struct Part {
    hal::Segment segment;
    std::vector<Source> inputs;         // one per segment.inputs; only from parts before this one
    std::vector<std::uint32_t> states;  // one per segment.states: into the whole's states
  };
  std::vector<Part> parts;
  std::vector<Source> outputs;  // one per output of the whole
};

// `chosen`: one per expert of the unit, true: on the first device. Ids stay as the router gives them: a table of where
// each lies is a constant of each part. The weights of experts that lie side by side are views of the same memory;
// others are gathered once, into memory that the part owns. A unit without data is split without. invalid_argument: not
// one flag per expert, or none or all of them set. unsupported: not exactly one expert_gemm with all its experts here,
// or a state that two parts would use.

// Two parts in a row: {all up to the experts and the chosen ones; the others, whose residual is the first's sum, and
// all that follows}.
hal::Result<ExpertSplit> split_experts(const hal::Segment& unit, const std::vector<bool>& chosen);

// Four parts of which two run at the same time: {front: all up to the experts; near: the chosen experts, and what
// follows them where that only adds to their sum; far: the others; join: near + far, and the rest}. Front, near and
// join belong on the first device; far needs of it x, index and gate: 4 T (D + 2 k) bytes there, 4 T D back. Sums in
// another order than the whole's: equal to what f32 allows, not to the bit.
hal::Result<ExpertSplit> split_experts_parallel(const hal::Segment& unit, const std::vector<bool>& chosen);

}  // namespace switchyard::scheduler
