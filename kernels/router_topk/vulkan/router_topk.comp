// One workgroup per row; k times, the largest of those behind the last one picked in (value, index) order.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x = 32) in;
layout(constant_id = 0) const uint K = 1;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint experts;
  int rows_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer Logits { float d[]; } logits;
layout(set = 0, binding = 1) writeonly buffer Index { int d[]; } index;
layout(set = 0, binding = 2) writeonly buffer Gate { float d[]; } gate;

shared float best_value[32];
shared uint best_index[32];
shared float picked[K];

const uint NONE = 0xffffffffu;
bool before(float v, uint i, float w, uint j) { return j == NONE || v > w || (v == w && i < j); }

void main() {
  uint t = group_index(), lane = gl_LocalInvocationIndex;
  if (t >= uint(p.dims[p.rows_symbol])) return;
  float last_value = 0.0;
  uint last_index = NONE;
  for (uint j = 0u; j < K; ++j) {
    float value = 0.0;
    uint at = NONE;
    for (uint e = lane; e < p.experts; e += 32u) {
      float v = logits.d[t * p.experts + e];
      bool open = last_index == NONE || v < last_value || (v == last_value && e > last_index);
      if (open && before(v, e, value, at)) {
        value = v;
        at = e;
      }
    }
    best_value[lane] = value;
    best_index[lane] = at;
    barrier();
    value = best_value[0];
    at = best_index[0];
    for (uint l = 1u; l < 32u; ++l)
      if (best_index[l] != NONE && before(best_value[l], best_index[l], value, at)) {
        value = best_value[l];
        at = best_index[l];
      }
    last_value = value;
    last_index = at;
    if (lane == 0u) {
      picked[j] = value;
      index.d[t * K + j] = int(at);
    }
    barrier();
  }
  precise float sum = 0.0;
  for (uint j = 0u; j < K; ++j) sum += exp_(picked[j] - picked[0]);
  for (uint j = lane; j < K; j += 32u) gate.d[t * K + j] = exp_(picked[j] - picked[0]) / sum;
}
