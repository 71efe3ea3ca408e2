// The launch that rounds a value's rows for kernels on 8-bit activations.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

// The temporary that holds value's rows as kernels/common/cpu/int8_rows.h says; an earlier launch of the same segment
// that rounds the same value is used again. isa: an index into SY_CPU_INT8_TABLE.
std::uint32_t add_round_rows(const Segment& segment, std::uint32_t value, int isa, Lowered& lowered);

}  // namespace switchyard::kernels
