// One item per element. Grid: (columns / 64, rows).
typedef struct {
  int dims[4];
  Count rows;
  int d;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void add(__global const float *a, __global const float *b, __global float *y,
                                                                  Params p) {
  const int c = get_global_id(0);
  const size_t i = (size_t)get_group_id(1) * p.d + c;
  if (c < p.d) y[i] = a[i] + b[i];
}
