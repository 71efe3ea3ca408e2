// A tile is a row.
#include "hal/call.h"
#include "kernels/add/cpu/params.h"
#include "kernels/common/cpu/vec.h"

namespace switchyard::kernels::SY_ISA {

void add(const hal::CallArgs* a) {
  const std::int64_t width = static_cast<const kernels::add::CpuParams*>(a->args)->width;
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    const float* x = static_cast<const float*>(a->pointers[0]) + t * width;
    const float* y = static_cast<const float*>(a->pointers[1]) + t * width;
    float* to = static_cast<float*>(a->pointers[2]) + t * width;
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) store(to + i, load(x + i) + load(y + i));
    if (i < width) store_part(to + i, load_part(x + i, width - i) + load_part(y + i, width - i), width - i);
  }
}

}  // namespace switchyard::kernels::SY_ISA
