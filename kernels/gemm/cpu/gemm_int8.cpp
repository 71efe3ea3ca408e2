#include "kernels/common/cpu/int8.h"
#include "kernels/gemm/cpu/rounded.h"

namespace switchyard::kernels::SY_ISA {

void gemm_int8(const hal::CallArgs* a) { gemm_rounded(a); }

}  // namespace switchyard::kernels::SY_ISA
