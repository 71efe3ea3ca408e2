#include "kernels/common/cpu/bf16.h"
#include "kernels/gemm/cpu/rounded.h"

namespace switchyard::kernels::SY_ISA {

void gemm_bf16(const hal::CallArgs* a) { gemm_rounded(a); }

}  // namespace switchyard::kernels::SY_ISA
