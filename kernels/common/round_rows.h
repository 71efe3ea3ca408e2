// The launch that rounds a value's rows for kernels on rounded activations.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

// How rows are rounded: to 8 bits (kernels/common/cpu/rounded_rows.h) or to bf16. isa: an index into SY_CPU_TABLE of
// the form.
struct Rounding {
  hal::Call call;
  std::uint32_t (*row_bytes)(std::uint32_t k);
};
Rounding rounding_int8(int isa);
Rounding rounding_bf16(int isa);

// The temporary that holds value's rows rounded; an earlier launch of the same segment that rounds the same value alike
// is used again.
std::uint32_t add_round_rows(const Segment& segment, std::uint32_t value, const Rounding& rounding, Lowered& lowered);

}  // namespace switchyard::kernels
