// An item per number of x, in f32.
typedef struct {
  int dims[4];
  Count rows;
  int products;
  float one;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void multiply_add(__global const float *x, __global float *y, Params p) {
  const int i = get_global_id(0);
  if (i >= 16 * count_of(p.rows, p.dims)) return;
  const float8 v = x[i];
  float8 a = 0.0f, b = 0.0f;
  for (int n = p.products; n > 0; n -= 16) {
    a = fma(v, (float8)(p.one), a);
    b = fma(v, (float8)(p.one), b);
  }
  y[i] = sum8(a + b);
}
