// -DN. One item per row of the state (head h, channel p of it) of a sequence, which it keeps in registers over all time
// steps. Grid: (heads * head_dim / 64, sequences).
typedef struct {
  int dims[4];
  Count sequences;
  int heads, head_dim, groups, dt_width, dt_offset;
  float dt_min, dt_max;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void ssm_scan(
    __global const float *xbc, __global const float *dt, __global const float *dt_bias, __global const float *a,
    __global const float *d, __global const int *sequences, __global float *state, __global float *y, Params p) {
  const int row = get_global_id(0), inner = p.heads * p.head_dim;
  if (row >= inner) return;
  const Sequence q = sequence_at(sequences, get_group_id(1));
  const int h = row / p.head_dim, width = inner + 2 * p.groups * N;
  const int b_offset = inner + h / (p.heads / p.groups) * N, c_offset = b_offset + p.groups * N;

  __global const float *from = state + ((size_t)q.slot_in * inner + row) * N;
  float8 s[CHUNKS];
  for (int i = 0; i < CHUNKS; ++i) s[i] = load_chunk(from, i);
  const float bias = dt_bias[h], rate = a[h], skip = d[h];
  for (int t = q.row_begin; t < q.row_begin + q.rows; ++t) {
    __global const float *now = xbc + (size_t)t * width;
    const float step = clamp(softplus(dt[(size_t)t * p.dt_width + p.dt_offset + h] + bias), p.dt_min, p.dt_max);
    const float decay = exp_of(step * rate), x = now[row], in = step * x;
    float8 sum = 0.0f;
    for (int i = 0; i < CHUNKS; ++i) {
      s[i] = fma(s[i], decay, in * load_chunk(now + b_offset, i));
      sum = fma(load_chunk(now + c_offset, i), s[i], sum);
    }
    y[(size_t)t * inner + row] = fma(skip, x, sum8(sum));
  }
  __global float *to = state + ((size_t)q.slot_out * inner + row) * N;
  if (q.rows > 0 || q.slot_in != q.slot_out)
    for (int i = 0; i < CHUNKS; ++i) store_chunk(s[i], to, i);
}
