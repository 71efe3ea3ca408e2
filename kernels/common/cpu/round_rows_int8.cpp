#include "kernels/common/cpu/int8.h"
#include "kernels/common/cpu/round_rows_loop.h"

namespace switchyard::kernels::SY_ISA {

void round_rows_int8(const hal::CallArgs* a) { round_rows(a); }

}  // namespace switchyard::kernels::SY_ISA
