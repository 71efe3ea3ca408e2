// Copies between buffers of different devices, through host memory, for every backend whose queue runs on a host
// thread.
#pragma once
#include "hal/buffer.h"

namespace switchyard::hal {

// Copies src to dst in chunks of a few MiB with Buffer::read and Buffer::write: synchronous, any two buffers, not
// overlapping. The caller has waited for the work that wrote src. Sizes that differ or a range outside its buffer:
// invalid_argument.
Status staged_copy(const Slice& src, const Slice& dst);

}  // namespace switchyard::hal
