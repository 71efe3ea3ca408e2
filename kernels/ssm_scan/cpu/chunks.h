// Many rows of a sequence, `chunk_tokens` at a time, in the dual form of the recurrence (Dao & Gu 2024, section 6).
// With L[t] the product of the decays from the chunk's begin to t, and L[u, t] from behind u to t, neither above 1:
//   y[t] = L[t] (C[t] . s) + sum over u <= t of L[u, t] (C[t] . B[u]) dt[u] x[u] + D x[t]
//   s    = L[last] s + sum over u of L[u, last] dt[u] x[u] B[u]
// Two operations for an element of state and a token instead of three. C . B has no head in it: a launch of its own
// makes it for all. Lanes are rows of P, so nothing is summed across them; the state lies transposed in thread_scratch
// from a sequence's first row to its last.
#pragma once
#include "kernels/common/cpu/vec.h"
#include "kernels/ssm_scan/cpu/params.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::SY_ISA {
namespace {

constexpr int chunk_tokens = lanes == 16 ? 8 : 4;
static_assert(chunk_tokens <= kernels::ssm_scan::products_of_row);
constexpr std::int64_t chunk_rows = 2 * lanes;  // of P at once

struct ScanOf {  // one sequence, one head, a block of P
  const kernels::ssm_scan::CpuParams& p;
  const float *xbc, *dt_raw;  // rows of the sequence: its first one
  const float* products;      // likewise, of the head's group
  std::int64_t width, products_width, group, rows, head, first;
  float dt_bias, decay_rate, skip;
};

// dt of `count` rows from `t` on, and e^(dt a). One vector code whatever the number of rows.
inline void steps_of(const ScanOf& s, std::int64_t t, std::int64_t count, float* dt, float* decay) {
  float raw[lanes] = {};
  for (std::int64_t i = 0; i < count; ++i) raw[i] = s.dt_raw[(t + i) * s.p.dt_width];
  const vec step = min(max(softplus(load(raw) + s.dt_bias), splat(s.p.dt_min)), splat(s.p.dt_max));
  store(dt, step);
  store(decay, exp(step * s.decay_rate));
}

// What a chunk's tokens are to each other; tokens that are not there take no step.
struct Chunk {
  float to_end[chunk_tokens];               // L[u, last]
  float from_begin[chunk_tokens];           // L[t]
  float pairs[chunk_tokens][chunk_tokens];  // [t][d]: L[t - d, t] (C[t] . B[t - d])
  const float *B[chunk_tokens], *C[chunk_tokens], *x[chunk_tokens];
  float dt[chunk_tokens];
};
inline void read_chunk(const ScanOf& s, std::int64_t t, std::int64_t count, const float* dt, const float* decays,
                       Chunk& k) {
  float decay[chunk_tokens];
  for (std::int64_t i = 0; i < chunk_tokens; ++i) k.dt[i] = i < count ? dt[i] : 0, decay[i] = i < count ? decays[i] : 1;
  float since[chunk_tokens] = {};  // [d]: L[i - d, i]
  for (int i = 0; i < chunk_tokens; ++i) {
    const std::int64_t row = t + (i < count ? i : count - 1);
    for (int d = i; d > 0; --d) since[d] = since[d - 1] * decay[i];
    since[0] = 1;
    k.from_begin[i] = since[i] * decay[0];
    const float* products = s.products + row * s.products_width;
    for (int d = 0; d <= i; ++d) k.pairs[i][d] = i < count ? since[d] * products[d] : 0;
    const float* at = s.xbc + row * s.width;
    k.x[i] = at + s.head * s.p.head_dim + s.first;
    k.B[i] = at + s.group;
    k.C[i] = k.B[i] + std::int64_t{s.p.groups} * s.p.state;
  }
  for (int u = 0; u < chunk_tokens; ++u) k.to_end[u] = since[chunk_tokens - 1 - u];
}

// One chunk of chunk_rows rows of P from `row` on: their state [N][chunk_rows], y of the chunk's first token. Not
// inlined: its loops need every register.
static __attribute__((noinline)) void scan_chunk(const Chunk& k, std::int64_t count, std::int64_t row, float skip,
                                                 std::int64_t N, float* state, std::int64_t x_width, float* y,
                                                 std::int64_t y_width) {
  vec sum[chunk_tokens][2], dtx[chunk_tokens][2];
  // Asks for the next chunk's lines of x and y, which lie a stride apart that no processor foresees.
#pragma GCC unroll 8
  for (int t = 0; t < chunk_tokens; ++t) {
    sum[t][0] = sum[t][1] = vec{};
    for (int i = 0; i < chunk_rows; i += 16) {
      __builtin_prefetch(y + (t + chunk_tokens) * y_width + row + i, 1);
      __builtin_prefetch(k.x[t] + chunk_tokens * x_width + row + i);
    }
  }
  for (std::int64_t n = 0; n < N; ++n) {
    const vec s0 = load(state + n * chunk_rows), s1 = load(state + n * chunk_rows + lanes);
#pragma GCC unroll 8
    for (int t = 0; t < chunk_tokens; ++t) {
      const float c = k.C[t][n];
      sum[t][0] += c * s0;
      sum[t][1] += c * s1;
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < chunk_tokens; ++t) {
    const vec x0 = load(k.x[t] + row), x1 = load(k.x[t] + row + lanes);
    dtx[t][0] = x0 * k.dt[t];
    dtx[t][1] = x1 * k.dt[t];
    vec y0 = x0 * skip + sum[t][0] * k.from_begin[t], y1 = x1 * skip + sum[t][1] * k.from_begin[t];
#pragma GCC unroll 8
    for (int d = 0; d <= t; ++d) {
      y0 += k.pairs[t][d] * dtx[t - d][0];
      y1 += k.pairs[t][d] * dtx[t - d][1];
    }
    if (t < count) store(y + t * y_width + row, y0), store(y + t * y_width + row + lanes, y1);
  }
#pragma GCC unroll 8
  for (int u = 0; u < chunk_tokens; ++u) dtx[u][0] *= k.to_end[u], dtx[u][1] *= k.to_end[u];
  const float decay = k.from_begin[chunk_tokens - 1];
  const float* B[chunk_tokens];  // out of what the stores below could change, as far as the compiler knows
#pragma GCC unroll 8
  for (int u = 0; u < chunk_tokens; ++u) B[u] = k.B[u];
  for (std::int64_t n = 0; n < N; ++n) {
    float* at = state + n * chunk_rows;
    vec s0 = load(at) * decay, s1 = load(at + lanes) * decay;
#pragma GCC unroll 8
    for (int u = 0; u < chunk_tokens; ++u) {
      const float b = B[u][n];
      s0 += b * dtx[u][0];
      s1 += b * dtx[u][1];
    }
    store(at, s0);
    store(at + lanes, s1);
  }
}

inline bool takes_chunks(const kernels::ssm_scan::CpuParams& p, std::int64_t rows, std::int64_t block) {
  return rows > kernels::ssm_scan::step_order_rows && p.state % lanes == 0 && block % chunk_rows == 0;
}

// A matrix of `rows` rows and `columns` columns, both multiples of lanes: to[column][row] = from[row][column].
inline void transpose_matrix(const float* from, std::int64_t from_width, std::int64_t rows, std::int64_t columns,
                             float* to, std::int64_t to_width) {
  for (std::int64_t row = 0; row < rows; row += lanes)
    for (std::int64_t column = 0; column < columns; column += lanes) {
      vec v[lanes];
      for (int i = 0; i < lanes; ++i) v[i] = load(from + (row + i) * from_width + column);
      transpose(v);
      for (int i = 0; i < lanes; ++i) store(to + (column + i) * to_width + row, v[i]);
    }
}

// `block` rows of P: state in [block][N] to out (may be the same), y of the sequence's first row.
inline void scan_in_chunks(const ScanOf& s, std::int64_t block, const float* in, float* out, float* y,
                           std::int64_t y_width, float* scratch) {
  const std::int64_t N = s.p.state;
  for (std::int64_t row = 0; row < block; row += chunk_rows)
    transpose_matrix(in + row * N, N, chunk_rows, N, scratch + row * N, chunk_rows);
  Chunk k;
  float dt[lanes], decay[lanes];
  for (std::int64_t t = 0; t < s.rows; t += chunk_tokens) {
    const std::int64_t count = s.rows - t < chunk_tokens ? s.rows - t : chunk_tokens, lane = t % lanes;
    if (lane == 0) steps_of(s, t, s.rows - t < lanes ? s.rows - t : lanes, dt, decay);
    read_chunk(s, t, count, dt + lane, decay + lane, k);
    for (std::int64_t row = 0; row < block; row += chunk_rows)
      scan_chunk(k, count, row, s.skip, N, scratch + row * N, s.width, y + t * y_width, y_width);
  }
  for (std::int64_t row = 0; row < block; row += chunk_rows)
    transpose_matrix(scratch + row * N, chunk_rows, N, chunk_rows, out + row * N, N);
}

}  // namespace
}  // namespace switchyard::kernels::SY_ISA
