// -DTYPE -DUP=0|1 and either -DROWS=1: one pair per workgroup, or -DROWS=8: a tile of pairs of one expert (pairs.cl).
//   up    hidden[pair, i] = silu(w_gate[e, i] . x[t]) * (w_up[e, i] . x[t])     grid: (pairs or tiles, inner / TILE)
//   down  parts[pair, i] = w_down[e, i] . hidden[pair]                          grid: (pairs or tiles, d / TILE)
#define TILE (UP ? 16 : 32)

typedef struct {
  int dims[4];
  Count rows;
  int k, n, outputs, per_row;        // n: length of a dot product; per_row: pairs that share a row of x (down: 1)
  int weight_rows, up_row;           // rows of one expert in w; where its up rows begin (-1: in w_up, at the same place)
  int row_words, first_slot, slots;  // w begins with slot first_slot and holds `slots`
  int mapped, all_slots;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void expert_gemm(
    __global const float *x, __global const uint *w, __global const uint *w_up, __global const int *index,
    __global const int *local_index, __global const int *order, __global const int *tiles, __global float *y, Params p) {
  __local float parts[16 * COLS * ROWS * LANES];
  const int item = get_local_id(0), lane = item % LANES, block = item / LANES;
  const int column0 = get_group_id(1) * TILE, tile = get_group_id(0);
#if ROWS == 1
  int slot = p.mapped ? local_index[index[tile]] : index[tile], rows = slot >= 0;
  slot -= p.first_slot;
#else
  int slot = tiles[3 * tile] - p.first_slot, rows = tiles[3 * tile + 2];
  order += tiles[3 * tile + 1];
#endif
  if (slot < 0 || slot >= p.slots || rows == 0) return;  // elsewhere, another launch's or nothing: all items agree

  int pair[ROWS];
  __global const float *xr[ROWS];
  __global const uint *wr[COLS];
  for (int r = 0; r < ROWS; ++r) {
#if ROWS == 1
    pair[r] = tile;
#else
    pair[r] = order[min(r, rows - 1)];
#endif
    xr[r] = x + (size_t)(pair[r] / p.per_row) * p.n;
  }
  const size_t expert = (size_t)slot * p.weight_rows;
#if UP
  const int row = min(column0 + block, p.outputs - 1);
  wr[0] = w + (expert + row) * p.row_words;
  wr[1] = p.up_row < 0 ? w_up + (expert + row) * p.row_words : w + (expert + p.up_row + row) * p.row_words;
#else
  for (int c = 0; c < COLS; ++c) wr[c] = w + (expert + min(column0 + COLS * block + c, p.outputs - 1)) * p.row_words;
#endif
  dot_parts(parts + block * COLS * ROWS * LANES, wr, xr, p.n, lane);
  barrier(CLK_LOCAL_MEM_FENCE);

  for (int i = item; i < TILE * rows; i += 64) {
    const int c = i % TILE, r = i / TILE, column = column0 + c;
    if (column >= p.outputs) continue;
#if UP
    float v = silu(dot_of(parts + (c * COLS * ROWS + r) * LANES)) * dot_of(parts + ((c * COLS + 1) * ROWS + r) * LANES);
#else
    float v = dot_of(parts + (c * ROWS + r) * LANES);
#endif
#if ROWS == 1
    const int to = tile;
#else
    const int to = order[r];
#endif
    y[(size_t)to * p.outputs + column] = v;
  }
}
