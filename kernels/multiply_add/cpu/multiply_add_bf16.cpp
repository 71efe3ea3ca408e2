#include "kernels/multiply_add/cpu/loop.h"

namespace switchyard::kernels::SY_ISA {

// Vectors on AMX too: where its tiles do more, the matrix products that use them set the limit.
void multiply_add_bf16(const hal::CallArgs* a) {
#if defined(__AVX512BF16__)
  float ones[16];
  for (float& v : ones) v = 1.0f;
  add_products<Wide>(
      a, 2,
      [&](const float* x) SY_LAMBDA {
        const Wide value = load(x), one = unknown<Wide>(ones);
        // Each lane's number twice, as a pair.
        const auto pair_of = [](Wide v) SY_LAMBDA {
          const __m512i high = _mm512_srli_epi32(_mm512_castps_si512(v.v), 16);
          return (__m512bh)_mm512_or_si512(high, _mm512_slli_epi32(high, 16));
        };
        const __m512bh values = pair_of(value), pair_of_ones = pair_of(one);
        return [=](Wide sum) SY_LAMBDA { return Wide{_mm512_dpbf16_ps(sum.v, values, pair_of_ones)}; };
      },
      [](Wide sum) SY_LAMBDA { return sum; });
#else
  add_products_of_f32(a);
#endif
}

}  // namespace switchyard::kernels::SY_ISA
