// One workgroup per sequence, head and tile of P. An invocation keeps 4 x 16 states (4 of p, 16 of n) in registers through
// all tokens; STEP tokens at a time leave their parts of y in shared memory, which are then added over n in order.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x_id = 0) in;                  // lanes_n * lanes_p
layout(constant_id = 0) const uint THREADS = 64;
layout(constant_id = 1) const uint LANES_N = 8;  // N / 16, rounded up
layout(constant_id = 2) const uint LANES_P = 8;  // of 4 p each
layout(push_constant) uniform Push {
  ivec4 dims;
  uint heads, head_dim, groups, n, dt_columns, dt_offset, x_columns, tiles;
  int sequences_symbol;
  float dt_min, dt_max;
} p;
layout(set = 0, binding = 0) readonly buffer Xbc { float d[]; } xbc;
layout(set = 0, binding = 1) readonly buffer Dt { float d[]; } dt_raw;
layout(set = 0, binding = 2) readonly buffer DtBias { float d[]; } dt_bias;
layout(set = 0, binding = 3) readonly buffer A { float d[]; } a;
layout(set = 0, binding = 4) readonly buffer D { float d[]; } skip;
layout(set = 0, binding = 5) readonly buffer Sequences { int d[]; } sequences;
layout(set = 0, binding = 6) buffer State { float d[]; } state;
layout(set = 0, binding = 7) writeonly buffer Out { float d[]; } y;

const uint STEP = 8u;
shared float dt_of[STEP];
shared float decay_of[STEP];
shared float part[STEP * THREADS * 4u];  // [token][lane of n][p of the tile]

void main() {
  uint group = group_index(), tile = group % p.tiles, head = group / p.tiles % p.heads, s = group / p.tiles / p.heads;
  if (s >= uint(p.dims[p.sequences_symbol])) return;
  uint lane = gl_LocalInvocationIndex, lane_n = lane % LANES_N, lane_p = lane / LANES_N;
  const uint tile_p = 4u * LANES_P;
  uint begin = uint(sequences.d[5u * s]), rows = uint(sequences.d[5u * s + 1u]);
  uint slot_in = uint(sequences.d[5u * s + 2u]), slot_out = uint(sequences.d[5u * s + 3u]);
  uint first_n = 16u * lane_n, count_n = min(p.n - first_n, 16u), first_p = tile * tile_p + 4u * lane_p;
  uint g = head / (p.heads / p.groups), inner = p.heads * p.head_dim;
  uint b_at = inner + g * p.n + first_n, c_at = b_at + p.groups * p.n;

  float h[64];
  [[unroll]] for (uint i = 0u; i < 4u; ++i)
    [[unroll]] for (uint n = 0u; n < 16u; ++n)
      h[16u * i + n] = first_p + i < p.head_dim && n < count_n
                           ? state.d[((slot_in * p.heads + head) * p.head_dim + first_p + i) * p.n + first_n + n] : 0.0;

  for (uint t0 = 0u; t0 < rows; t0 += STEP) {
    uint steps = min(STEP, rows - t0);
    for (uint i = lane; i < steps; i += THREADS) {
      float dt = softplus(dt_raw.d[(begin + t0 + i) * p.dt_columns + p.dt_offset + head] + dt_bias.d[head]);
      dt = clamp(dt, p.dt_min, p.dt_max);
      dt_of[i] = dt;
      decay_of[i] = exp_(dt * a.d[head]);
    }
    barrier();
    for (uint i = 0u; i < steps; ++i) {
      uint row = (begin + t0 + i) * p.x_columns;
      float decay = decay_of[i], dt = dt_of[i];
      float dtx[4], sum[4];
      [[unroll]] for (uint j = 0u; j < 4u; ++j) {
        dtx[j] = first_p + j < p.head_dim ? dt * xbc.d[row + head * p.head_dim + first_p + j] : 0.0;
        sum[j] = 0.0;
      }
      [[unroll]] for (uint n = 0u; n < 16u; ++n)
        if (n < count_n) {
          float b = xbc.d[row + b_at + n], c = xbc.d[row + c_at + n];
          [[unroll]] for (uint j = 0u; j < 4u; ++j) {
            precise float v = fma(decay, h[16u * j + n], dtx[j] * b);
            h[16u * j + n] = v;
            precise float more = fma(c, v, sum[j]);
            sum[j] = more;
          }
        }
      [[unroll]] for (uint j = 0u; j < 4u; ++j) part[(i * LANES_N + lane_n) * tile_p + 4u * lane_p + j] = sum[j];
    }
    barrier();
    for (uint item = lane; item < steps * tile_p; item += THREADS) {
      uint i = item / tile_p, q = item % tile_p, at_p = tile * tile_p + q;
      if (at_p >= p.head_dim) continue;
      precise float sum = 0.0;
      for (uint l = 0u; l < LANES_N; ++l) sum += part[(i * LANES_N + l) * tile_p + q];
      uint t = begin + t0 + i, column = head * p.head_dim + at_p;
      sum = fma(skip.d[head], xbc.d[t * p.x_columns + column], sum);
      y.d[t * inner + column] = sum;
    }
    barrier();
  }

  [[unroll]] for (uint i = 0u; i < 4u; ++i)
    [[unroll]] for (uint n = 0u; n < 16u; ++n)
      if (first_p + i < p.head_dim && n < count_n)
        state.d[((slot_out * p.heads + head) * p.head_dim + first_p + i) * p.n + first_n + n] = h[16u * i + n];
}
