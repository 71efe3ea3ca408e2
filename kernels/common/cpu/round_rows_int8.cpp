// Tile i: row i of x, rounded.
#include "hal/call.h"
#include "kernels/common/cpu/int8_rows.h"

namespace switchyard::kernels::SY_ISA {

void round_rows_int8(const hal::CallArgs* a) {
  const std::uint32_t k = static_cast<const RoundParams*>(a->args)->k;
  for (std::uint64_t t = a->first_tile; t < a->last_tile; ++t) {
    auto* row = static_cast<std::int8_t*>(a->pointers[1]) + t * rounded_row_bytes(k);
    const float* x = static_cast<const float*>(a->pointers[0]) + t * k;
    for (std::uint32_t b = 0; b < k / 32; ++b)
      round_block(x + 32 * b, row + 32 * b, row + k + b * sizeof(RoundedBlock));
  }
}

}  // namespace switchyard::kernels::SY_ISA
