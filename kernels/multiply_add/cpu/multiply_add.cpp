#include "kernels/multiply_add/cpu/loop.h"

namespace switchyard::kernels::SY_ISA {

void multiply_add(const hal::CallArgs* a) { add_products_of_f32(a); }

}  // namespace switchyard::kernels::SY_ISA
