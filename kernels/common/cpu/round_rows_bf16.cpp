#include "kernels/common/cpu/bf16.h"
#include "kernels/common/cpu/round_rows_loop.h"

namespace switchyard::kernels::SY_ISA {

void round_rows_bf16(const hal::CallArgs* a) { round_rows(a); }

}  // namespace switchyard::kernels::SY_ISA
