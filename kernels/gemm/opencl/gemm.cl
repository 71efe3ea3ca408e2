// -DTYPE -DROWS -DUP=0|1. Grid: (rows / ROWS, columns / TILE): neighbours share weights.
#define TILE (UP ? 16 : 32)  // columns of y per workgroup

typedef struct {
  int dims[4];
  Count rows;
  int k, n, row_words;
  int first, columns;  // those of y that this launch computes; w and w_up begin at row `first`
  int bias, residual;  // present?
  float scale;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void gemm(
    __global const float *x, __global const uint *w, __global const uint *w_up, __global const float *bias,
    __global const float *residual, __global float *y, Params p) {
  __local float parts[16 * COLS * ROWS * LANES];
  const int rows = count_of(p.rows, p.dims);
  const int item = get_local_id(0), lane = item % LANES, block = item / LANES;
  const int row0 = get_group_id(0) * ROWS, column0 = get_group_id(1) * TILE;

  __global const uint *wr[COLS];
  __global const float *xr[ROWS];
  for (int r = 0; r < ROWS; ++r) xr[r] = x + (size_t)min(row0 + r, rows - 1) * p.k;
#if UP
  size_t row = (size_t)min(column0 + block, p.columns - 1) * p.row_words;
  wr[0] = w + row;
  wr[1] = w_up + row;
#else
  for (int c = 0; c < COLS; ++c) wr[c] = w + (size_t)min(column0 + COLS * block + c, p.columns - 1) * p.row_words;
#endif
  dot_parts(parts + block * COLS * ROWS * LANES, wr, xr, p.k, lane);
  barrier(CLK_LOCAL_MEM_FENCE);

  for (int i = item; i < TILE * ROWS; i += 64) {
    int c = i % TILE, r = i / TILE, column = column0 + c;
    if (column >= p.columns || row0 + r >= rows) continue;
#if UP
    float v = silu(dot_of(parts + (c * COLS * ROWS + r) * LANES)) * dot_of(parts + ((c * COLS + 1) * ROWS + r) * LANES);
#else
    float v = dot_of(parts + (c * ROWS + r) * LANES);
#endif
    column += p.first;
    if (p.bias) v += bias[column];
    v *= p.scale;
    size_t at = (size_t)(row0 + r) * p.n + column;
    y[at] = p.residual ? v + residual[at] : v;
  }
}
