#include "kernels/common/cpu/int8.h"
#include "kernels/multiply_add/cpu/loop.h"

namespace switchyard::kernels::SY_ISA {

void multiply_add_int8(const hal::CallArgs* a) {
  const std::uint32_t ones = 0x01010101u;
  add_products<WideInt>(
      a, 4,
      [&](const float* x) SY_LAMBDA {
        std::uint32_t bytes[16];
        for (int l = 0; l < 16; ++l) bytes[l] = static_cast<std::uint32_t>(x[l]) * 0x01010101u;
        const Words words = load_words(reinterpret_cast<const Byte*>(bytes));
        const auto one = unknown<std::int32_t>(&ones);
        return [=](WideInt sum) SY_LAMBDA { return dot4(sum, renewed(words), one); };
      },
      [](WideInt sum) SY_LAMBDA { return to_float(sum); });
}

}  // namespace switchyard::kernels::SY_ISA
