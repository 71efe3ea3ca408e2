#include "kernels/common/cpu/int8.h"
#include "kernels/expert_gemm/cpu/rounded.h"

namespace switchyard::kernels::SY_ISA {

void expert_hidden_int8(const hal::CallArgs* a) { expert_hidden_rounded(a); }
void expert_down_int8(const hal::CallArgs* a) { expert_down_rounded(a); }

}  // namespace switchyard::kernels::SY_ISA
