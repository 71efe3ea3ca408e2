// -DTYPE. One item per eight elements. Grid: (row of the table / 512 elements, rows).
typedef struct {
  int dims[4];
  Count rows;
  int d, row_words;
  int first, count;  // rows of the table that this launch has; `table` begins at row `first`
  float scale;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void embedding(__global const uint *table, __global const int *rows, __global float *y,
                                                                        Params p) {
  const int c = get_global_id(0), r = get_group_id(1);
  if (8 * c >= p.d) return;
  const int row = rows[r] - p.first;
  if (row < 0 || row >= p.count) return;  // another launch's part
  unpack_eight(table + (size_t)row * p.row_words, p.d, c, p.scale, y + (size_t)r * p.d);
}
