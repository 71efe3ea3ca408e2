// One item per pair. Grid: (pairs of a row / 64, rows).
typedef struct {
  int dims[4];
  Count rows;
  int heads, half_dim, interleaved;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void rope(__global const float *x, __global const int *positions,
                                                                   __global const uint *turns, __global float *y, Params p) {
  const int pair = get_global_id(0), t = get_group_id(1);
  if (pair >= p.heads * p.half_dim) return;
  const int head = pair / p.half_dim, j = pair % p.half_dim;
  // position * turns modulo one turn: the upper word as a signed fraction, in half turns.
  ulong turn = (ulong)turns[2 * j + 1] << 32 | turns[2 * j];
  float angle = (float)(int)((ulong)positions[t] * turn >> 32) * 0x1p-31f;
  float s = sinpi(angle), c = cospi(angle);
  const size_t row = ((size_t)t * p.heads + head) * 2 * p.half_dim;
  const size_t first = row + (p.interleaved ? 2 * j : j), second = row + (p.interleaved ? 2 * j + 1 : j + p.half_dim);
  float a = x[first], b = x[second];
  y[first] = a * c - b * s;
  y[second] = b * c + a * s;
}
