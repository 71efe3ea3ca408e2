// A tile is a row: its sines and cosines once, then all heads.
#include <cmath>

#include "hal/call.h"
#include "kernels/common/cpu/vec.h"
#include "kernels/rope/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

// Of a turn given as a fraction of 2^64: exact quadrant, then polynomials on an eighth of a turn to either side.
void sine_and_cosine(std::uint64_t turn, float& sine, float& cosine) {
  const std::uint64_t quadrant = (turn + (std::uint64_t{1} << 61)) >> 62;
  const auto rest = static_cast<std::int64_t>(turn - (quadrant << 62));
  const float x = static_cast<float>(rest) * 3.4061215800e-19f;  // 2 pi / 2^64
  const float z = x * x;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  s = s * (z * x) + x;
  float c = 2.4433157118e-5f;
  c = c * z - 1.3887316255e-3f;
  c = c * z + 4.1666645683e-2f;
  c = c * (z * z) - 0.5f * z + 1.0f;
  const bool swap = (quadrant & 1) != 0;
  sine = swap ? c : s;
  cosine = swap ? s : c;
  if (quadrant & 2) sine = -sine;
  if ((quadrant + 1) & 2) cosine = -cosine;
}

}  // namespace

void rope(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::rope::CpuParams*>(a->args);
  const auto* x = static_cast<const float*>(a->pointers[0]);
  const auto* positions = static_cast<const std::int32_t*>(a->pointers[1]);
  const auto* turns = static_cast<const unsigned char*>(a->pointers[2]);
  auto* y = static_cast<float*>(a->pointers[3]);
  const std::int64_t half = p.head_dim / 2;
  auto* sines = static_cast<float*>(a->thread_scratch);
  auto* cosines = sines + half;
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t) {
    for (std::int64_t j = 0; j < half; ++j) {
      std::uint64_t turn;
      std::memcpy(&turn, turns + 8 * j, 8);
      sine_and_cosine(turn * static_cast<std::uint64_t>(positions[t]), sines[j], cosines[j]);
    }
    for (std::int64_t h = 0; h < p.heads; ++h) {
      const float* __restrict from = x + (t * p.heads + h) * p.head_dim;
      float* __restrict to = y + (t * p.heads + h) * p.head_dim;
      if (p.interleaved) {
        for (std::int64_t j = 0; j < half; ++j) {
          const float u = from[2 * j], v = from[2 * j + 1];
          to[2 * j] = u * cosines[j] - v * sines[j];
          to[2 * j + 1] = v * cosines[j] + u * sines[j];
        }
        continue;
      }
      std::int64_t j = 0;
      for (; j + lanes <= half; j += lanes) {
        const vec u = load(from + j), v = load(from + half + j), s = load(sines + j), c = load(cosines + j);
        store(to + j, u * c - v * s);
        store(to + half + j, v * c + u * s);
      }
      for (; j < half; ++j) {
        const float u = from[j], v = from[half + j];
        to[j] = u * cosines[j] - v * sines[j];
        to[half + j] = v * cosines[j] + u * sines[j];
      }
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
