// ROWS rows of x with 16 columns (8 if PAIRED) per workgroup: two sets of 32 lanes, 8 weight rows each, so that a word of
// weights is unpacked once for ROWS rows. The including file sets ROWS; the sums do not depend on it (dot_tile.glsl).
#include "common.glsl"
#include "math.glsl"
#define COLUMNS 8
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint TYPE = 0;
layout(constant_id = 1) const bool PAIRED = false;  // with w_up: half of the weight rows are of w, half of w_up
layout(push_constant) uniform Push {
  ivec4 dims;
  uint k, columns, first, all_columns, row_words;  // weight rows [first, first + columns) are bound
  int rows_symbol;
  uint bias, residual;  // 0: absent
  float scale;
} p;
layout(set = 0, binding = 0) readonly buffer X { float d[]; } x_;
layout(set = 0, binding = 1) readonly buffer W { uint d[]; } w;
layout(set = 0, binding = 2) readonly buffer Up { uint d[]; } up;
layout(set = 0, binding = 3) readonly buffer Bias { float d[]; } bias;
layout(set = 0, binding = 4) readonly buffer Residual { float d[]; } residual;
layout(set = 0, binding = 5) writeonly buffer Out { float d[]; } y;

uint word(uint which, uint i) { return which == 0u ? w.d[i] : up.d[i]; }
float x_at(uint i) { return x_.d[i]; }
uint column_buffer(uint n) { return PAIRED && n >= COLUMNS / 2u ? 1u : 0u; }
#include "weights.glsl"
#include "dot_tile.glsl"

shared float part[ROWS * COLUMNS * 64];

float lanes_sum(uint set, uint r, uint n) {
  uint at = (r * COLUMNS + n) * 64u + 32u * set;
  precise float sum = part[at];
  for (uint l = 1u; l < LANES; ++l) sum += part[at + l];
  return sum;
}

void main() {
  const uint wide = PAIRED ? COLUMNS / 2u : COLUMNS;
  uint index = gl_LocalInvocationIndex, lane = index % LANES, set = index / LANES;
  uint rows = uint(p.dims[p.rows_symbol]), row = gl_WorkGroupID.y * ROWS, column = gl_WorkGroupID.x * 2u * wide;
  // Past the edge the last row or column is done again, and not written.
  uint x_row[ROWS], w_row[COLUMNS];
  for (uint r = 0u; r < ROWS; ++r) x_row[r] = min(row + r, rows - 1u) * p.k;
  for (uint n = 0u; n < COLUMNS; ++n) w_row[n] = min(column + set * wide + (PAIRED ? n % (COLUMNS / 2u) : n), p.columns - 1u) * p.row_words;
  float sums[ROWS * COLUMNS];
  dot_tile(lane, p.k, x_row, w_row, sums);
  for (uint i = 0u; i < ROWS * COLUMNS; ++i) part[i * 64u + index] = sums[i];
  barrier();
  for (uint o = index; o < 2u * ROWS * wide; o += 64u) {
    uint c = o % (2u * wide), r = o / (2u * wide), n = c % wide;
    if (row + r >= rows || column + c >= p.columns) continue;
    precise float v = lanes_sum(c / wide, r, n);
    if (PAIRED) v = silu(v) * lanes_sum(c / wide, r, n + wide);
    uint at = p.first + column + c;
    if (p.bias != 0u) v += bias.d[at];
    v = p.scale * v;
    if (p.residual != 0u) v += residual.d[(row + r) * p.all_columns + at];
    y.d[(row + r) * p.all_columns + at] = v;
  }
}
