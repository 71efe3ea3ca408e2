// RoutingTap: where the routers of a stage leave their choices, when somebody asked for them.
#pragma once
#include "hal/device.h"
#include "models/granite_hybrid/segments.h"
#include "scheduler/experts/usage.h"

namespace switchyard::scheduler {

class RoutingTap {
 public:
  void begin() { taken_.clear(), runs_ = 0; }  // of a step; the last one is done
  // Adds the slices of the segment's routing outputs to `run`, if it has any. The run computes `computed` rows, of
  // which the first `rows` are the step's rows from `first` on.
  hal::Status bind(hal::Device& device, const models::ModelSegment& plan, std::int64_t first, std::int64_t rows,
                   std::int64_t computed, hal::Run& run);
  // Once the step is done: what was chosen in the layers here, to their places in `to`.
  hal::Status read(StepRouting& to) const;

 private:
  struct Taken {
    std::int64_t layer, first, rows;
    hal::Slice slice;
  };
  std::vector<Taken> taken_;
  std::vector<hal::BufferRef> buffers_;  // one per run of a step, kept for the next step
  std::size_t runs_ = 0;
};

}  // namespace switchyard::scheduler
