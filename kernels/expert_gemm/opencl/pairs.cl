// A pair is a row and one of its k experts, number t * k + j. `sort_pairs` puts the pairs of each expert side by side and
// cuts them into tiles of TILE_ROWS; `combine` adds up the experts' results of each row.
typedef struct {
  int dims[4];
  Count rows;
  int k, experts, slots, d, mapped, residual;  // mapped: local_index is present
  float scale;
} Params;

#define TILE_ROWS 8

// Slot of a pair's expert; -1: on another device.
static int slot_of(int expert, __global const int *local_index, int mapped) { return mapped ? local_index[expert] : expert; }

// One workgroup. order: i32 [pairs]; tiles: i32 [bound, 3] = slot, first place in order, pairs (0: nothing to do).
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void sort_pairs(__global const int *index, __global const int *local_index,
                                                                         __global int *order, __global int *tiles, Params p) {
  __local int count[SLOTS], first[SLOTS], first_tile[SLOTS], tile_count[1];
  const int item = get_local_id(0), pairs = count_of(p.rows, p.dims) * p.k;
  for (int slot = item; slot < SLOTS; slot += GROUP) {
    int n = 0;
    for (int i = 0; i < pairs; ++i) n += slot_of(index[i], local_index, p.mapped) == slot;
    count[slot] = n;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (item == 0) {
    int place = 0, tile = 0;
    for (int slot = 0; slot < SLOTS; ++slot) {
      first[slot] = place;
      first_tile[slot] = tile;
      place += count[slot];
      tile += (count[slot] + TILE_ROWS - 1) / TILE_ROWS;
    }
    tile_count[0] = tile;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int slot = item; slot < SLOTS; slot += GROUP) {
    int place = first[slot];
    if (count[slot] > 0)
      for (int i = 0; i < pairs; ++i)
        if (slot_of(index[i], local_index, p.mapped) == slot) order[place++] = i;
    for (int done = 0, tile = first_tile[slot]; done < count[slot]; done += TILE_ROWS, ++tile) {
      tiles[3 * tile] = slot;
      tiles[3 * tile + 1] = first[slot] + done;
      tiles[3 * tile + 2] = min(TILE_ROWS, count[slot] - done);
    }
  }
  const int bound = min(pairs, pairs / TILE_ROWS + SLOTS);
  for (int tile = tile_count[0] + item; tile < bound; tile += GROUP) {
    tiles[3 * tile] = 0;
    tiles[3 * tile + 1] = 0;
    tiles[3 * tile + 2] = 0;
  }
}

// One item per element of y. Grid: (d / 64, rows).
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void combine(__global const int *index, __global const float *gate,
                                                                      __global const int *local_index, __global const float *parts,
                                                                      __global const float *residual, __global float *y, Params p) {
  const int i = get_global_id(0), t = get_group_id(1);
  if (i >= p.d) return;
  float sum = 0.0f;
  for (int j = 0; j < p.k; ++j) {
    const int pair = t * p.k + j;
    if (slot_of(index[pair], local_index, p.mapped) < 0) continue;
    sum = fma(gate[pair], parts[(size_t)pair * p.d + i], sum);
  }
  const size_t at = (size_t)t * p.d + i;
  y[at] = p.residual ? fma(p.scale, sum, residual[at]) : p.scale * sum;
}
