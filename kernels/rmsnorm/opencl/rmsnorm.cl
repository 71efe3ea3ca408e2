// -DGATED=0|1. A workgroup per group of a row. Grid: (groups, rows).
typedef struct {
  int dims[4];
  Count rows;
  int d, groups, gate_width, gate_offset;
  float eps;
} Params;

#if GATED
#define AT8(i) (vload8(0, x + (i)) * silu(vload8(0, gate + (i))))
#define AT(i) (x[i] * silu(gate[i]))
#else
#define AT8(i) vload8(0, x + (i))
#define AT(i) x[i]
#endif

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void rmsnorm(__global const float *x, __global const float *weight,
                                                                      __global const float *gate, __global float *y, Params p) {
  __local float buffer[GROUP + 8];
  const int item = get_local_id(0), n = p.d / p.groups, t = get_group_id(1), column = get_group_id(0) * n;
  x += (size_t)t * p.d + column;
  y += (size_t)t * p.d + column;
  weight += column;
  gate += (size_t)t * p.gate_width + p.gate_offset + column;

  float8 squares = 0.0f;
  for (int i = 8 * item; i + 8 <= n; i += 8 * GROUP) {
    float8 v = AT8(i);
    squares = fma(v, v, squares);
  }
  float sum = sum8(squares);
  for (int i = n / 8 * 8 + item; i < n; i += GROUP) {
    float v = AT(i);
    sum = fma(v, v, sum);
  }
  const float scale = 1.0f / sqrt(group_sum(sum, buffer) / (float)n + p.eps);
  for (int i = 8 * item; i + 8 <= n; i += 8 * GROUP) vstore8(vload8(0, weight + i) * (AT8(i) * scale), 0, y + i);
  for (int i = n / 8 * 8 + item; i < n; i += GROUP) y[i] = weight[i] * (AT(i) * scale);
}
