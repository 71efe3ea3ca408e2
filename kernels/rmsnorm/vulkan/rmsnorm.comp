// One workgroup per row and group of columns.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
#include "reduce.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GATED = false;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint columns, groups, gate_columns, gate_offset;
  int rows_symbol;
  float eps;
} p;
layout(set = 0, binding = 0) readonly buffer X { float d[]; } x;
layout(set = 0, binding = 1) readonly buffer Weight { float d[]; } weight;
layout(set = 0, binding = 2) readonly buffer Gate { float d[]; } gate;
layout(set = 0, binding = 3) writeonly buffer Out { float d[]; } y;

float value(uint t, uint c) {
  float v = x.d[t * p.columns + c];
  return GATED ? v * silu(gate.d[t * p.gate_columns + p.gate_offset + c]) : v;
}

void main() {
  uint width = p.columns / p.groups, t = group_index() / p.groups, from = group_index() % p.groups * width;
  if (t >= uint(p.dims[p.rows_symbol])) return;
  precise float sum = 0.0;
  for (uint i = gl_LocalInvocationIndex; i < width; i += 64u) {
    float v = value(t, from + i);
    sum = fma(v, v, sum);
  }
  precise float mean = reduce_sum(sum) / float(width);
  float factor = 1.0 / sqrt(mean + p.eps);
  for (uint i = gl_LocalInvocationIndex; i < width; i += 64u)
    y.d[t * p.columns + from + i] = weight.d[from + i] * (value(t, from + i) * factor);
}
