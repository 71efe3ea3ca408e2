// A tile is (sequence, block of channels). Many rows at once do the same arithmetic as one row at a time, bit for bit.
#include <cmath>

#include "hal/call.h"
#include "kernels/common/cpu/vec.h"
#include "kernels/selective_scan/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

// One channel's step: its state from `in` to `out`; the partial sums of C . s.
inline vec step(const float* in, float* out, const float* A, const float* B, const float* C, float dt, float dtu,
                std::int64_t N) {
  vec part{};
  std::int64_t n = 0;
  for (; n + lanes <= N; n += lanes) {
    const vec s = exp(load(A + n) * dt) * load(in + n) + load(B + n) * dtu;
    store(out + n, s);
    part += load(C + n) * s;
  }
  if (n < N) {
    const std::int64_t left = N - n;
    const vec s = exp(load_part(A + n, left) * dt) * load_part(in + n, left) + load_part(B + n, left) * dtu;
    store_part(out + n, s, left);
    part += load_part(C + n, left) * s;
  }
  return part;
}

}  // namespace

void selective_scan(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::selective_scan::CpuParams*>(a->args);
  const auto* u = static_cast<const float*>(a->pointers[0]);
  const auto* dt_raw = static_cast<const float*>(a->pointers[1]);
  const auto* dt_bias = static_cast<const float*>(a->pointers[2]);
  const auto* A = static_cast<const float*>(a->pointers[3]);
  const auto* B = static_cast<const float*>(a->pointers[4]);
  const auto* C = static_cast<const float*>(a->pointers[5]);
  const auto* D = static_cast<const float*>(a->pointers[6]);
  const auto* z = static_cast<const float*>(a->pointers[7]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[8]);
  auto* state = static_cast<float*>(a->pointers[9]);
  auto* y = static_cast<float*>(a->pointers[10]);
  const std::int64_t channels = p.channels, N = p.states, blocks = (channels + p.block - 1) / p.block;
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::int32_t* q = table + 5 * (tile / blocks);
    const std::int64_t first = tile % blocks * p.block, last = first + p.block < channels ? first + p.block : channels;
    const std::int64_t begin = q[0], rows = q[1];
    const float* in = state + (q[2] * channels + first) * N;
    float* out = state + (q[3] * channels + first) * N;
    if (rows == 0 && in != out) std::memcpy(out, in, static_cast<std::size_t>((last - first) * N) * 4);
    for (std::int64_t t = begin; t < begin + rows; ++t) {
      for (std::int64_t c = first; c < last; c += lanes) {
        const std::int64_t n = last - c < lanes ? last - c : lanes, at = t * channels + c;
        const vec us = load_part(u + at, n), dt = softplus(load_part(dt_raw + at, n) + load_part(dt_bias + c, n));
        float dts[lanes], dtus[lanes];
        store(dts, dt);
        store(dtus, dt * us);
        vec part[lanes];
        for (std::int64_t i = n; i < lanes; ++i) part[i] = vec{};
        for (std::int64_t i = 0; i < n; ++i) {
          const std::int64_t home = (c - first + i) * N;
          part[i] = step(in + home, out + home, A + (c + i) * N, B + t * N, C + t * N, dts[i], dtus[i], N);
        }
        vec v = sums(part) + load_part(D + c, n) * us;
        if (z) v *= silu(load_part(z + at, n));
        store_part(y + at, v, n);
      }
      in = out;
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
