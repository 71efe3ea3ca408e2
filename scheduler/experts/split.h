// A unit whose mixture of experts is too large for one device, as two units in a row: the first device does everything
// up to the experts and the experts [0, cut); the second does the others, takes the first's sum as its residual, and
// does what follows.
#pragma once
#include "hal/result.h"
#include "hal/segment.h"

namespace switchyard::scheduler {

struct ExpertSplit {
  struct Source {
    bool from_first = false;
    std::uint32_t index = 0;  // into the first part's outputs, or into the whole's inputs (states, outputs)
  };
  hal::Segment first, second;
  // Where each input and state comes from, in the order of the parts' lists.
  std::vector<Source> first_inputs, second_inputs;
  std::vector<std::uint32_t> first_states, second_states;  // into the whole's states
  // Where each output of the whole is: from_first, and the index into that part's outputs.
  std::vector<Source> outputs;
};

// 0 < cut < experts. Constants with data are views of the same memory. unsupported: not exactly one expert_gemm with
// all its experts here, a state that both parts would use, or constants that hold the experts are used elsewhere too.
hal::Result<ExpertSplit> split_experts(const hal::Segment& whole, std::int64_t cut);

}  // namespace switchyard::scheduler
