// y[t] = residual[t] + scale * sum over j of gate[t, j] * down_e h[t, j], 16 columns of one row per workgroup; pairs in
// order. Where the experts' weights need several bindings, each launch does one j and one range of slots, and y carries
// the sum from launch to launch: the same additions in the same order.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#define ROWS 1
#define COLUMNS 8
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint TYPE = 0;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint k, d, inner, row_words, first, count, blocks, first_j, last_j;  // pairs [first_j, last_j)
  int rows_symbol;
  uint local, residual, begin, end;  // begin: the sum starts here; end: scale and residual are applied here
  float scale;
} p;
layout(set = 0, binding = 0) readonly buffer H { float d[]; } h;
layout(set = 0, binding = 1) readonly buffer Index { int d[]; } index;
layout(set = 0, binding = 2) readonly buffer Gate { float d[]; } gate;
layout(set = 0, binding = 3) readonly buffer W { uint d[]; } w;
layout(set = 0, binding = 4) readonly buffer Local { int d[]; } local_index;
layout(set = 0, binding = 5) readonly buffer Residual { float d[]; } residual;
layout(set = 0, binding = 6) buffer Out { float d[]; } y;

uint word(uint which, uint i) { return w.d[i]; }
float x_at(uint i) { return h.d[i]; }
uint column_buffer(uint n) { return 0u; }
#include "weights.glsl"
#include "dot_tile.glsl"

shared float part[COLUMNS * 64];

void main() {
  uint at = group_index(), t = at / p.blocks, column = at % p.blocks * 2u * COLUMNS;
  if (t >= uint(p.dims[p.rows_symbol])) return;
  uint i = gl_LocalInvocationIndex, lane = i % LANES, set = i / LANES;
  bool mine = i < 2u * COLUMNS && column + i < p.d;
  precise float total = mine && p.begin == 0u ? y.d[t * p.d + column + i] : 0.0;
  for (uint j = p.first_j; j < p.last_j; ++j) {
    uint pair = t * p.k + j;
    int slot = index.d[pair];
    if (p.local != 0u) slot = local_index.d[slot];
    if (slot < int(p.first) || slot >= int(p.first + p.count)) continue;
    uint x_row[ROWS], w_row[COLUMNS];
    x_row[0] = pair * p.inner;
    for (uint n = 0u; n < COLUMNS; ++n)
      w_row[n] = ((uint(slot) - p.first) * p.d + min(column + set * COLUMNS + n, p.d - 1u)) * p.row_words;
    float sums[COLUMNS];
    dot_tile(lane, p.inner, x_row, w_row, sums);
    for (uint n = 0u; n < COLUMNS; ++n) part[n * 64u + i] = sums[n];
    barrier();
    if (mine) {
      uint from = i % COLUMNS * 64u + 32u * (i / COLUMNS);
      precise float sum = part[from];
      for (uint l = 1u; l < LANES; ++l) sum += part[from + l];
      total = fma(gate.d[pair], sum, total);
    }
    barrier();
  }
  if (!mine) return;
  if (p.end != 0u) {
    total = p.scale * total;
    if (p.residual != 0u) total += residual.d[t * p.d + column + i];
  }
  y.d[t * p.d + column + i] = total;
}
