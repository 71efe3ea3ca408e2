// -DN. One item per channel of a sequence. Grid: (channels / 64, sequences).
typedef struct {
  int dims[4];
  Count sequences;
  int channels, gated;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void selective_scan(
    __global const float *u, __global const float *dt, __global const float *dt_bias, __global const float *a, __global const float *b,
    __global const float *c, __global const float *d, __global const float *z, __global const int *sequences, __global float *state,
    __global float *y, Params p) {
  const int channel = get_global_id(0);
  if (channel >= p.channels) return;
  const Sequence q = sequence_at(sequences, get_group_id(1));
  __global const float *from = state + ((size_t)q.slot_in * p.channels + channel) * N;
  float8 s[CHUNKS], rate[CHUNKS];
  for (int i = 0; i < CHUNKS; ++i) {
    s[i] = load_chunk(from, i);
    rate[i] = load_chunk(a + (size_t)channel * N, i);
  }
  const float bias = dt_bias[channel], skip = d[channel];
  for (int t = q.row_begin; t < q.row_begin + q.rows; ++t) {
    const size_t at = (size_t)t * p.channels + channel;
    const float step = softplus(dt[at] + bias), x = u[at], in = step * x;
    float8 sum = 0.0f;
    for (int i = 0; i < CHUNKS; ++i) {
      s[i] = fma(exp_of(step * rate[i]), s[i], in * load_chunk(b + (size_t)t * N, i));
      sum = fma(load_chunk(c + (size_t)t * N, i), s[i], sum);
    }
    float v = fma(skip, x, sum8(sum));
    y[at] = p.gated ? v * silu(z[at]) : v;
  }
  __global float *to = state + ((size_t)q.slot_out * p.channels + channel) * N;
  if (q.rows > 0 || q.slot_in != q.slot_out)
    for (int i = 0; i < CHUNKS; ++i) store_chunk(s[i], to, i);
}
