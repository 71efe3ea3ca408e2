// Dot products of ROWS rows of x with COLUMNS weight rows, shared by 32 lanes: lane l takes chunks l, l + 32, ... of 32
// elements, in order; then the lanes' sums are added in order. So a result depends on its two rows and K alone, whatever
// ROWS and COLUMNS are and whatever stands beside it.
// The kernel declares before this file: ROWS, COLUMNS (macros), weights.glsl and
//   float x_at(uint i)              element i of x
//   uint column_buffer(uint column) which weight buffer column 0 .. COLUMNS - 1 lies in
const uint LANES = 32u;

void dot_tile(uint lane, uint k, uint x_row[ROWS], uint w_row[COLUMNS], out float sums[ROWS * COLUMNS]) {
  for (uint i = 0u; i < ROWS * COLUMNS; ++i) sums[i] = 0.0;
  uint chunks = (k + 31u) / 32u;
  for (uint c = lane; c < chunks; c += LANES) {
    Chunk chunk[COLUMNS];
    for (uint n = 0u; n < COLUMNS; ++n) chunk[n] = open_chunk(column_buffer(n), w_row[n], k, c);
    uint subs = min(4u, (k - 32u * c + 7u) / 8u);
    for (uint sub = 0u; sub < subs; ++sub) {
      uint at = 32u * c + 8u * sub, left = k - at;
      float x[ROWS * 8];
      for (uint r = 0u; r < ROWS; ++r)
        for (uint i = 0u; i < 8u; ++i)
          x[8u * r + i] = i == 0u || i < left ? x_at(x_row[r] + at + i) : 0.0;
      for (uint n = 0u; n < COLUMNS; ++n) {
        vec4 a, b;
        unpack8(column_buffer(n), chunk[n], c, sub, left, a, b);
        for (uint r = 0u; r < ROWS; ++r) {
          precise float s = sums[r * COLUMNS + n];
          s = fma(x[8u * r], a.x, s);
          s = fma(x[8u * r + 1u], a.y, s);
          s = fma(x[8u * r + 2u], a.z, s);
          s = fma(x[8u * r + 3u], a.w, s);
          s = fma(x[8u * r + 4u], b.x, s);
          s = fma(x[8u * r + 5u], b.y, s);
          s = fma(x[8u * r + 6u], b.z, s);
          s = fma(x[8u * r + 7u], b.w, s);
          sums[r * COLUMNS + n] = s;
        }
      }
    }
  }
}
