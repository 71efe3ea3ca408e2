// Rounds rows, included behind one form's round_32 (int8.h, bf16.h). Tile i: row i.
#pragma once
#include "hal/call.h"
#include "kernels/common/cpu/rounded_rows.h"

namespace switchyard::kernels::SY_ISA {

SY_INLINE void round_rows(const hal::CallArgs* a) {
  const std::uint32_t k = static_cast<const RoundParams*>(a->args)->k;
  for (std::uint64_t t = a->first_tile; t < a->last_tile; ++t) {
    const float* x = static_cast<const float*>(a->pointers[0]) + t * k;
    Byte* row = static_cast<Byte*>(a->pointers[1]) + t * input_row_bytes(k);
    for (std::uint32_t first = 0; first < k; first += 32) round_32(x + first, row, k, first);
  }
}

}  // namespace switchyard::kernels::SY_ISA
