// h[t, j, :] = silu(gate_e x[t]) * (up_e x[t]) for one pair (t, j) and 8 columns per workgroup. The experts' slots
// [first, first + count) are bound; pairs of others are left alone.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
#define ROWS 1
#define COLUMNS 8
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint TYPE = 0;
layout(constant_id = 1) const bool FUSED = false;  // gate rows, then up rows, in one tensor
layout(push_constant) uniform Push {
  ivec4 dims;
  uint k, d, inner, row_words, first, count, blocks;
  int rows_symbol;
  uint local;  // 0: no local_index, slot e is expert e
} p;
layout(set = 0, binding = 0) readonly buffer X { float d[]; } x_;
layout(set = 0, binding = 1) readonly buffer Index { int d[]; } index;
layout(set = 0, binding = 2) readonly buffer W { uint d[]; } w;
layout(set = 0, binding = 3) readonly buffer Up { uint d[]; } up;
layout(set = 0, binding = 4) readonly buffer Local { int d[]; } local_index;
layout(set = 0, binding = 5) writeonly buffer H { float d[]; } h;

uint word(uint which, uint i) { return which == 0u ? w.d[i] : up.d[i]; }
float x_at(uint i) { return x_.d[i]; }
uint column_buffer(uint n) { return !FUSED && n >= COLUMNS / 2u ? 1u : 0u; }
#include "weights.glsl"
#include "dot_tile.glsl"

shared float part[COLUMNS * 64];

float lanes_sum(uint set, uint n) {
  uint at = n * 64u + 32u * set;
  precise float sum = part[at];
  for (uint l = 1u; l < LANES; ++l) sum += part[at + l];
  return sum;
}

void main() {
  const uint wide = COLUMNS / 2u;
  uint at = group_index(), pair = at / p.blocks, column = at % p.blocks * 2u * wide;
  if (pair >= uint(p.dims[p.rows_symbol]) * p.k) return;
  int slot = index.d[pair];
  if (p.local != 0u) slot = local_index.d[slot];
  if (slot < int(p.first) || slot >= int(p.first + p.count)) return;
  uint rows = FUSED ? 2u * p.inner : p.inner, base = (uint(slot) - p.first) * rows;
  uint i = gl_LocalInvocationIndex, lane = i % LANES, set = i / LANES;
  uint x_row[ROWS], w_row[COLUMNS];
  x_row[0] = pair / p.k * p.d;
  for (uint n = 0u; n < COLUMNS; ++n) {
    uint c = min(column + set * wide + n % wide, p.inner - 1u);
    w_row[n] = (base + c + (FUSED && n >= wide ? p.inner : 0u)) * p.row_words;
  }
  float sums[COLUMNS];
  dot_tile(lane, p.d, x_row, w_row, sums);
  for (uint n = 0u; n < COLUMNS; ++n) part[n * 64u + i] = sums[n];
  barrier();
  if (i >= 2u * wide || column + i >= p.inner) return;
  float gate = lanes_sum(i / wide, i % wide), above = lanes_sum(i / wide, i % wide + wide);
  h.d[pair * p.inner + column + i] = silu(gate) * above;
}
