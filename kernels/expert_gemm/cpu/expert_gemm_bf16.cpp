#include "kernels/common/cpu/bf16.h"
#include "kernels/expert_gemm/cpu/rounded.h"

namespace switchyard::kernels::SY_ISA {

void expert_hidden_bf16(const hal::CallArgs* a) { expert_hidden_rounded(a); }
void expert_down_bf16(const hal::CallArgs* a) { expert_down_rounded(a); }

}  // namespace switchyard::kernels::SY_ISA
