// Tile i: row i.
#include "hal/call.h"
#include "kernels/common/cpu/bf16.h"
#include "kernels/common/cpu/int8_rows.h"

namespace switchyard::kernels::SY_ISA {

void round_rows_bf16(const hal::CallArgs* a) {
  const auto& p = *static_cast<const RoundParams*>(a->args);
  for (std::uint64_t t = a->first_tile; t < a->last_tile; ++t) {
    const float* x = static_cast<const float*>(a->pointers[0]) + t * p.k;
    Byte* row = static_cast<Byte*>(a->pointers[1]) + t * input_row_bytes(p.k);
    for (std::uint32_t first = 0; first < p.k; first += 32) round_32(x + first, row, p.k, first);
  }
}

}  // namespace switchyard::kernels::SY_ISA
