// A tile is a block of channels: all sequences, row by row, and their windows at the end. The weight comes packed [K,
// C].
#include <cmath>

#include "hal/call.h"
#include "kernels/causal_conv1d/cpu/params.h"
#include "kernels/common/cpu/vec.h"

namespace switchyard::kernels::SY_ISA {
namespace {

constexpr int most_taps = 8;

template <int K>
void row(const float* const* from, const float* weight, std::int64_t stride, const float* bias, float* y,
         std::int64_t n, int taps) {
  const int k = K ? K : taps;
  auto at = [&](std::int64_t i, auto get) {
    vec v = bias ? get(bias + i) : vec{};
    for (int j = 0; j < k; ++j) v += get(weight + j * stride + i) * get(from[j] + i);
    return silu(v);
  };
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, at(i, [](const float* p) { return load(p); }));
  if (i < n) store_part(y + i, at(i, [&](const float* p) { return load_part(p, n - i); }), n - i);
}

}  // namespace

void causal_conv1d(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::causal_conv1d::CpuParams*>(a->args);
  const auto* x = static_cast<const float*>(a->pointers[0]) + p.x_offset;
  const auto* weight = static_cast<const float*>(a->pointers[1]);
  const auto* bias = static_cast<const float*>(a->pointers[2]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[3]);
  auto* window = static_cast<float*>(a->pointers[4]);
  auto* y = static_cast<float*>(a->pointers[5]);
  const std::int64_t count = a->dims[p.sequences_symbol], C = p.channels, kept = p.taps - 1;
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::int64_t c = tile * p.block, n = C - c < p.block ? C - c : p.block;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int32_t* q = table + 5 * s;
      const std::int64_t begin = q[0], rows = q[1];
      const float* in = window + q[2] * kept * C + c;
      float* out = window + q[3] * kept * C + c;
      const float* first = x + begin * p.width + c;
      auto seen = [&](std::int64_t i) {
        return i < kept ? in + i * C : first + (i - kept) * p.width;
      };  // window, then rows
      for (std::int64_t t = 0; t < rows; ++t) {
        // Rows lie further apart than the processor's own prefetch looks.
        if (t + 6 < rows)
          for (std::int64_t i = 0; i < n; i += 16) __builtin_prefetch(first + (t + 6) * p.width + i);
        const float* from[most_taps];
        for (int j = 0; j < p.taps; ++j) from[j] = seen(t + j);
        float* to = y + (begin + t) * C + c;
        if (p.taps == 4)
          row<4>(from, weight + c, C, bias ? bias + c : nullptr, to, n, 4);
        else
          row<0>(from, weight + c, C, bias ? bias + c : nullptr, to, n, p.taps);
      }
      // Upwards, so that a window may be moved within itself.
      for (std::int64_t i = 0; i < kept; ++i)
        std::memmove(out + i * C, seen(rows + i), static_cast<std::size_t>(n) * 4);
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
