// A tile is a row.
#include <cmath>

#include "hal/call.h"
#include "kernels/common/cpu/vec.h"
#include "kernels/rmsnorm/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

float sum_of_squares(const float* x, std::int64_t n) {
  vec s[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int j = 0; j < 4; ++j) {
      vec v = load(x + i + j * lanes);
      s[j] += v * v;
    }
  for (; i < n; i += lanes) {
    vec v = load_part(x + i, n - i < lanes ? n - i : lanes);
    s[0] += v * v;
  }
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

void scaled(const float* x, const float* weight, float scale, float* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, load(weight + i) * (load(x + i) * scale));
  if (i < n) store_part(y + i, load_part(weight + i, n - i) * (load_part(x + i, n - i) * scale), n - i);
}

void gated(const float* x, const float* gate, float* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, load(x + i) * silu(load(gate + i)));
  if (i < n) store_part(y + i, load_part(x + i, n - i) * silu(load_part(gate + i, n - i)), n - i);
}

}  // namespace

void rmsnorm(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::rmsnorm::CpuParams*>(a->args);
  const auto* x = static_cast<const float*>(a->pointers[0]);
  const auto* weight = static_cast<const float*>(a->pointers[1]);
  const auto* gate = static_cast<const float*>(a->pointers[2]);
  auto* y = static_cast<float*>(a->pointers[3]);
  const std::int64_t part = p.width / p.groups;
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    const float* from = x + t * p.width;
    float* to = y + t * p.width;
    if (gate) {
      gated(from, gate + t * p.gate_width + p.gate_offset, to, p.width);
      from = to;
    }
    for (std::int64_t g = 0; g < p.groups; ++g) {
      const float mean = sum_of_squares(from + g * part, part) / static_cast<float>(part);
      scaled(from + g * part, weight + g * part, 1.0f / __builtin_sqrtf(mean + p.eps), to + g * part, part);
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
