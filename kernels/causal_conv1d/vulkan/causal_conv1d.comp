// One invocation per sequence and channel: the window slides through registers, so slot_in and slot_out may be one slot.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint TAPS = 4;
layout(constant_id = 1) const bool BIAS = false;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint channels, x_columns, x_offset;
  int sequences_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer X { float d[]; } x;
layout(set = 0, binding = 1) readonly buffer Weight { float d[]; } weight;
layout(set = 0, binding = 2) readonly buffer Bias { float d[]; } bias;
layout(set = 0, binding = 3) readonly buffer Sequences { int d[]; } sequences;
layout(set = 0, binding = 4) buffer Window { float d[]; } window;
layout(set = 0, binding = 5) writeonly buffer Out { float d[]; } y;

void main() {
  uint item = group_index() * 64u + gl_LocalInvocationIndex, c = item % p.channels, s = item / p.channels;
  if (s >= uint(p.dims[p.sequences_symbol])) return;
  uint begin = uint(sequences.d[5u * s]), rows = uint(sequences.d[5u * s + 1u]);
  uint slot_in = uint(sequences.d[5u * s + 2u]), slot_out = uint(sequences.d[5u * s + 3u]);
  float taps[TAPS], seen[TAPS];  // seen[TAPS - 1]: the present column
  for (uint j = 0u; j < TAPS; ++j) taps[j] = weight.d[c * TAPS + j];
  for (uint j = 0u; j + 1u < TAPS; ++j) seen[j + 1u] = window.d[(slot_in * (TAPS - 1u) + j) * p.channels + c];
  for (uint t = 0u; t < rows; ++t) {
    for (uint j = 0u; j + 1u < TAPS; ++j) seen[j] = seen[j + 1u];
    seen[TAPS - 1u] = x.d[(begin + t) * p.x_columns + p.x_offset + c];
    precise float sum = BIAS ? bias.d[c] : 0.0;
    for (uint j = 0u; j < TAPS; ++j) sum = fma(taps[j], seen[j], sum);
    y.d[(begin + t) * p.channels + c] = silu(sum);
  }
  for (uint j = 0u; j + 1u < TAPS; ++j) window.d[(slot_out * (TAPS - 1u) + j) * p.channels + c] = seen[j + 1u];
}
