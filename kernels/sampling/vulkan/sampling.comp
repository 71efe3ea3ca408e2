// Greedy: one workgroup per row finds the largest logit, the lower index on a tie.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 128) in;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint columns;
  int rows_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer Logits { float d[]; } logits;
layout(set = 0, binding = 1) writeonly buffer Token { int d[]; } token;

shared float best_value[128];
shared uint best_index[128];

void main() {
  uint r = group_index(), lane = gl_LocalInvocationIndex;
  if (r >= uint(p.dims[p.rows_symbol])) return;
  uint at = min(lane, p.columns - 1u);
  float value = logits.d[r * p.columns + at];
  for (uint i = lane + 128u; i < p.columns; i += 128u) {
    float v = logits.d[r * p.columns + i];
    if (v > value) {
      value = v;
      at = i;
    }
  }
  best_value[lane] = value;
  best_index[lane] = at;
  for (uint width = 64u; width > 0u; width /= 2u) {
    barrier();
    if (lane < width) {
      float v = best_value[lane + width];
      uint i = best_index[lane + width];
      if (v > best_value[lane] || (v == best_value[lane] && i < best_index[lane])) {
        best_value[lane] = v;
        best_index[lane] = i;
      }
    }
  }
  if (lane == 0u) token.d[r] = int(best_index[0]);
}
