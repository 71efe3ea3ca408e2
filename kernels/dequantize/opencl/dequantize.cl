// -DTYPE. One item per eight elements. Grid: (columns / 512, rows).
typedef struct {
  int dims[4];
  int columns, row_words, rows;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void dequantize(__global const uint *w, __global float *y, Params p) {
  const int c = get_global_id(0), r = get_group_id(1);
  if (8 * c < p.columns) unpack_eight(w + (size_t)r * p.row_words, p.columns, c, 1.0f, y + (size_t)r * p.columns);
}
