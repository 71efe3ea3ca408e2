// One invocation turns one pair. position * turns mod 2^64 is exact; its upper word is the fraction of a turn.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint heads, head_dim, interleaved;
  int rows_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer X { float d[]; } x;
layout(set = 0, binding = 1) readonly buffer Positions { int d[]; } positions;
layout(set = 0, binding = 2) readonly buffer Turns { uint d[]; } turns;
layout(set = 0, binding = 3) writeonly buffer Out { float d[]; } y;

void main() {
  uint pairs = p.head_dim / 2u, item = group_index() * 64u + gl_LocalInvocationIndex;
  uint j = item % pairs, head = item / pairs % p.heads, t = item / pairs / p.heads;
  if (t >= uint(p.dims[p.rows_symbol])) return;
  uint position = uint(positions.d[t]), carry, low;
  umulExtended(position, turns.d[2u * j], carry, low);
  uint fraction = position * turns.d[2u * j + 1u] + carry;
  fraction += low >> 31;  // rounds the lower word away
  vec2 sc = sin_cos_turn(fraction);
  uint at = (t * p.heads + head) * p.head_dim;
  uint first = at + (p.interleaved != 0u ? 2u * j : j), second = at + (p.interleaved != 0u ? 2u * j + 1u : j + pairs);
  precise float a = x.d[first], b = x.d[second];
  precise float turned_a = a * sc.y - b * sc.x, turned_b = b * sc.y + a * sc.x;
  y.d[first] = turned_a;
  y.d[second] = turned_b;
}
