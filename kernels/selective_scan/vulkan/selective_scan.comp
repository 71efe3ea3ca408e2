// One invocation per sequence and channel, its N states in a private array, tokens in order.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint N = 16;
layout(constant_id = 1) const bool GATED = false;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint channels;
  int sequences_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer U { float d[]; } u;
layout(set = 0, binding = 1) readonly buffer Dt { float d[]; } dt_raw;
layout(set = 0, binding = 2) readonly buffer DtBias { float d[]; } dt_bias;
layout(set = 0, binding = 3) readonly buffer A { float d[]; } a;
layout(set = 0, binding = 4) readonly buffer B { float d[]; } b;
layout(set = 0, binding = 5) readonly buffer C { float d[]; } c_;
layout(set = 0, binding = 6) readonly buffer D { float d[]; } skip;
layout(set = 0, binding = 7) readonly buffer Z { float d[]; } z;
layout(set = 0, binding = 8) readonly buffer Sequences { int d[]; } sequences;
layout(set = 0, binding = 9) buffer State { float d[]; } state;
layout(set = 0, binding = 10) writeonly buffer Out { float d[]; } y;

void main() {
  uint item = group_index() * 64u + gl_LocalInvocationIndex, c = item % p.channels, s = item / p.channels;
  if (s >= uint(p.dims[p.sequences_symbol])) return;
  uint begin = uint(sequences.d[5u * s]), rows = uint(sequences.d[5u * s + 1u]);
  uint slot_in = uint(sequences.d[5u * s + 2u]), slot_out = uint(sequences.d[5u * s + 3u]);
  float h[N];
  for (uint n = 0u; n < N; ++n) h[n] = state.d[(slot_in * p.channels + c) * N + n];
  float shift = dt_bias.d[c], through = skip.d[c];
  for (uint t = begin; t < begin + rows; ++t) {
    float dt = softplus(dt_raw.d[t * p.channels + c] + shift), x = u.d[t * p.channels + c];
    precise float dtx = dt * x;
    precise float sum = 0.0;
    for (uint n = 0u; n < N; ++n) {
      precise float v = exp_(dt * a.d[c * N + n]) * h[n];
      v = fma(dtx, b.d[t * N + n], v);
      h[n] = v;
      sum = fma(c_.d[t * N + n], v, sum);
    }
    sum = fma(through, x, sum);
    if (GATED) sum *= silu(z.d[t * p.channels + c]);
    y.d[t * p.channels + c] = sum;
  }
  for (uint n = 0u; n < N; ++n) state.d[(slot_out * p.channels + c) * N + n] = h[n];
}
