#include "kernels/multiply_add/cpu/loop.h"

namespace switchyard::kernels::SY_ISA {

void multiply_add(const hal::CallArgs* a) {
  float ones[16];
  for (float& v : ones) v = 1.0f;
  add_products<Wide>(
      a, 1,
      [&](const float* x) SY_LAMBDA {
        const Wide value = load(x), one = unknown<Wide>(ones);
        return [=](Wide sum) SY_LAMBDA { return fma(renewed(value), one, sum); };
      },
      [](Wide sum) SY_LAMBDA { return sum; });
}

}  // namespace switchyard::kernels::SY_ISA
