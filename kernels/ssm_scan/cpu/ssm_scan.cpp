// A tile is (sequence, head, block of P): its part of the state stays in the first cache for all rows of the sequence.
// Up to step_order_rows rows at once do the same arithmetic as one row at a time, bit for bit; more go in chunks.
#include <cmath>

#include "hal/call.h"
#include "kernels/common/cpu/vec.h"
#include "kernels/ssm_scan/cpu/chunks.h"
#include "kernels/ssm_scan/cpu/params.h"

namespace switchyard::kernels::SY_ISA {
namespace {

// R rows of P: from `in` to `out` (may be the same), one partial sum of C . s per row. Last: the N that are left at the
// end.
template <int R>
inline void rows_of_state(const float* in, float* out, std::int64_t N, float decay, const float* dtx, const float* B,
                          const float* C, vec* sums) {
  vec part[R] = {};
  std::int64_t n = 0;
  for (; n + lanes <= N; n += lanes) {
    const vec b = load(B + n), c = load(C + n);
    for (int r = 0; r < R; ++r) {
      const vec s = load(in + r * N + n) * decay + b * dtx[r];
      store(out + r * N + n, s);
      part[r] += c * s;
    }
  }
  if (n < N) {
    const std::int64_t left = N - n;
    const vec b = load_part(B + n, left), c = load_part(C + n, left);
    for (int r = 0; r < R; ++r) {
      const vec s = load_part(in + r * N + n, left) * decay + b * dtx[r];
      store_part(out + r * N + n, s, left);
      part[r] += c * s;
    }
  }
  for (int r = 0; r < R; ++r) sums[r] = part[r];
}

#if SY_ISA_avx512
// Sixteen tokens of one tile: what all its rows of P share.
constexpr std::int64_t registers_state = 128, most_rows = 32;
struct Tokens {
  alignas(64) float B[lanes][registers_state], C[lanes][registers_state];
  alignas(64) float dtx[lanes][most_rows];
  float decay[lanes];
};

// Two rows of P with their whole state in registers, for `count` tokens: y[row][token], before the skip. The sum over
// the lanes has one tree whether one token's is taken alone or sixteen together.
inline void two_rows_in_registers(const float* in, float* out, const Tokens& k, std::int64_t count, std::int64_t row,
                                  float (*y)[lanes]) {
  constexpr int V = registers_state / lanes;
  vec s0[V], s1[V], part0[lanes], part1[lanes];
#pragma GCC unroll 8
  for (int n = 0; n < V; ++n) s0[n] = load(in + n * lanes), s1[n] = load(in + registers_state + n * lanes);
  for (std::int64_t t = 0; t < count; ++t) {
    const vec decay = splat(k.decay[t]), x0 = splat(k.dtx[t][row]), x1 = splat(k.dtx[t][row + 1]);
    vec p0{}, p1{};
#pragma GCC unroll 8
    for (int n = 0; n < V; ++n) {
      const vec b = load(k.B[t] + n * lanes), c = load(k.C[t] + n * lanes);
      s0[n] = s0[n] * decay + b * x0;
      s1[n] = s1[n] * decay + b * x1;
      p0 += c * s0[n];
      p1 += c * s1[n];
    }
    part0[t] = p0;
    part1[t] = p1;
  }
#pragma GCC unroll 8
  for (int n = 0; n < V; ++n) store(out + n * lanes, s0[n]), store(out + registers_state + n * lanes, s1[n]);
  if (count < 4) {
    for (std::int64_t t = 0; t < count; ++t) y[row][t] = sum(part0[t]), y[row + 1][t] = sum(part1[t]);
    return;
  }
  for (std::int64_t t = count; t < lanes; ++t) part0[t] = part1[t] = vec{};
  store(y[row], sums(part0));
  store(y[row + 1], sums(part1));
}
#endif

// Rows lie a stride apart that no processor foresees.
inline void prefetch(const float* p, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 16) __builtin_prefetch(p + i);
}

}  // namespace

// Tile t: row t.
void ssm_scan_products(const hal::CallArgs* a) {
  using kernels::ssm_scan::products_of_row;
  const auto& p = *static_cast<const kernels::ssm_scan::CpuParams*>(a->args);
  const std::int64_t N = p.state, inner = std::int64_t{p.heads} * p.head_dim, width = inner + 2 * p.groups * N;
  for (std::int64_t t = a->first_tile; t < a->last_tile; ++t)
    for (std::int64_t g = 0; g < p.groups; ++g) {
      const float* B = static_cast<const float*>(a->pointers[0]) + t * width + inner + g * N;
      const float* C = B + p.groups * N;
      float* to = static_cast<float*>(a->pointers[1]) + (t * p.groups + g) * products_of_row;
      for (std::int64_t d = 0; d < chunk_tokens; ++d) {
        vec part{};
        if (d <= t)
          for (std::int64_t n = 0; n < N; n += lanes) {
            const std::int64_t some = N - n < lanes ? N - n : lanes;
            part += load_part(C + n, some) * load_part(B - d * width + n, some);
          }
        to[d] = sum(part);
      }
    }
}

void ssm_scan(const hal::CallArgs* a) {
  using kernels::ssm_scan::products_of_row;
  const auto& p = *static_cast<const kernels::ssm_scan::CpuParams*>(a->args);
  const auto* xbc = static_cast<const float*>(a->pointers[0]);
  const auto* dt_raw = static_cast<const float*>(a->pointers[1]) + p.dt_offset;
  const auto* dt_bias = static_cast<const float*>(a->pointers[2]);
  const auto* decay_rate = static_cast<const float*>(a->pointers[3]);
  const auto* skip = static_cast<const float*>(a->pointers[4]);
  const auto* table = static_cast<const std::int32_t*>(a->pointers[5]);
  const auto* products = static_cast<const float*>(a->pointers[6]);
  auto* state = static_cast<float*>(a->pointers[7]);
  auto* y = static_cast<float*>(a->pointers[8]);
  const std::int64_t H = p.heads, P = p.head_dim, N = p.state, width = H * P + 2 * std::int64_t{p.groups} * N,
                     slot = H * P * N;
  const std::int64_t blocks = (P + p.block - 1) / p.block;
  for (std::int64_t tile = a->first_tile; tile < a->last_tile; ++tile) {
    const std::int32_t* q = table + 5 * (tile / (H * blocks));
    const std::int64_t h = tile / blocks % H, first = tile % blocks * p.block,
                       last = first + p.block < P ? first + p.block : P;
    const std::int64_t begin = q[0], rows = q[1], home = (h * P + first) * N;
    float* out = state + q[3] * slot + home;
    const float* in = state + q[2] * slot + home;
    if (rows == 0 && in != out) std::memcpy(out, in, static_cast<std::size_t>((last - first) * N) * 4);
    const std::int64_t g = h / (H / p.groups);
    const float* group = xbc + H * P + g * N;
    const ScanOf scan{p,
                      xbc + begin * width,
                      dt_raw + begin * p.dt_width + h,
                      products + (begin * p.groups + g) * products_of_row,
                      width,
                      p.groups * products_of_row,
                      H * P + g * N,
                      rows,
                      h,
                      first,
                      dt_bias[h],
                      decay_rate[h],
                      skip[h]};
    if (takes_chunks(p, rows, last - first)) {
      scan_in_chunks(scan, last - first, in, out, y + begin * H * P + h * P + first, H * P,
                     static_cast<float*>(a->thread_scratch));
      continue;
    }
    float dts[lanes], decays[lanes];
#if SY_ISA_avx512
    if (N == registers_state && last - first <= most_rows && (last - first) % 2 == 0) {
      Tokens k;
      float sum_of[most_rows][lanes];
      for (std::int64_t t = 0; t < rows; t += lanes) {
        const std::int64_t count = rows - t < lanes ? rows - t : lanes;
        steps_of(scan, t, count, dts, k.decay);
        for (std::int64_t i = 0; i < count; ++i) {
          const float* B = group + (begin + t + i) * width;
          std::memcpy(k.B[i], B, sizeof k.B[i]);
          std::memcpy(k.C[i], B + p.groups * N, sizeof k.C[i]);
          const float* x = xbc + (begin + t + i) * width + h * P + first;
          for (std::int64_t r = 0; r < last - first; ++r) k.dtx[i][r] = x[r] * dts[i];
        }
        for (std::int64_t r = 0; r < last - first; r += 2) {
          if (count < lanes) prefetch(in + (r + 8) * N, 2 * N);
          two_rows_in_registers(in + r * N, out + r * N, k, count, r, sum_of);
        }
        for (std::int64_t i = 0; i < count; ++i) {
          const float* x = xbc + (begin + t + i) * width + h * P + first;
          float* to = y + (begin + t + i) * H * P + h * P + first;
          for (std::int64_t r = 0; r < last - first; ++r) to[r] = sum_of[r][i] + x[r] * skip[h];
        }
        in = out;
      }
      continue;
    }
#endif
    for (std::int64_t t = 0; t < rows; ++t) {
      const int lane = static_cast<int>(t % lanes);
      if (lane == 0) steps_of(scan, t, rows - t < lanes ? rows - t : lanes, dts, decays);
      const float dt = dts[lane], decay = decays[lane];
      const float* row = xbc + (begin + t) * width;
      const float* x = row + h * P;
      const float* B = group + (begin + t) * width;
      const float* C = B + p.groups * N;
      float* to = y + (begin + t) * H * P + h * P;
      if (t + 2 < rows) {
        prefetch(x + 2 * width + first, last - first);
        prefetch(B + 2 * width, N);
        prefetch(C + 2 * width, N);
      }
      for (std::int64_t i = first; i < last; i += lanes) {
        const std::int64_t n = last - i < lanes ? last - i : lanes;
        const vec xs = load_part(x + i, n);
        float dtx[lanes];
        store(dtx, xs * dt);
        vec part[lanes];
        for (std::int64_t r = n; r < lanes; ++r) part[r] = vec{};
        std::int64_t r = 0;
        for (; r + 4 <= n; r += 4)
          rows_of_state<4>(in + (i - first + r) * N, out + (i - first + r) * N, N, decay, dtx + r, B, C, part + r);
        for (; r < n; ++r)
          rows_of_state<1>(in + (i - first + r) * N, out + (i - first + r) * N, N, decay, dtx + r, B, C, part + r);
        store_part(to + i, sums(part) + xs * skip[h], n);
      }
      in = out;
    }
  }
}

}  // namespace switchyard::kernels::SY_ISA
