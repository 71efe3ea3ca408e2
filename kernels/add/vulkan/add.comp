// One invocation adds one element.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint columns;
  int rows_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer A { float d[]; } a;
layout(set = 0, binding = 1) readonly buffer B { float d[]; } b;
layout(set = 0, binding = 2) writeonly buffer Out { float d[]; } y;

void main() {
  uint i = group_index() * 64u + gl_LocalInvocationIndex;
  if (i < uint(p.dims[p.rows_symbol]) * p.columns) y.d[i] = a.d[i] + b.d[i];
}
