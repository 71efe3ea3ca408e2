// One invocation unpacks eight elements.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint TYPE = 0;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint rows, columns, row_words;
} p;
layout(set = 0, binding = 0) readonly buffer Weights { uint d[]; } w;
layout(set = 0, binding = 1) writeonly buffer Out { float d[]; } y;

uint word(uint which, uint i) { return w.d[i]; }
#include "weights.glsl"

void main() {
  uint item = group_index() * 64u + gl_LocalInvocationIndex, per_row = (p.columns + 7u) / 8u;
  uint r = item / per_row, eighth = item % per_row;
  if (r >= p.rows) return;
  uint left = min(p.columns - 8u * eighth, 8u);
  Chunk chunk = open_chunk(0u, r * p.row_words, p.columns, eighth / 4u);
  vec4 a, b;
  unpack8(0u, chunk, eighth / 4u, eighth % 4u, left, a, b);
  uint at = r * p.columns + 8u * eighth;
  for (uint i = 0u; i < left; ++i) y.d[at + i] = i < 4u ? a[i] : b[i - 4u];
}
