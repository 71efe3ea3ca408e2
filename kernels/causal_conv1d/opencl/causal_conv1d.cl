// -DTAPS. `convolve`: one item per output, grid (channels / 64, rows). `keep` then leaves the windows: one item per channel
// of a sequence, grid (channels / 64, sequences).
typedef struct {
  int dims[4];
  Count rows, sequences;
  int channels, width, x_offset, bias;
} Params;

// Column `step` of a sequence: a row of x, or for a negative one the window, whose last column is step -1.
static float column(__global const float *x, __global const float *window, Sequence s, int step, int c, Params p) {
  if (step >= 0) return x[(size_t)(s.row_begin + step) * p.width + p.x_offset + c];
  return window[((size_t)s.slot_in * (TAPS - 1) + TAPS - 1 + step) * p.channels + c];
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void convolve(
    __global const float *x, __global const float *weight, __global const float *bias, __global const int *sequences,
    __global const float *window, __global float *y, Params p) {
  const int c = get_global_id(0), t = get_group_id(1);
  const int which = sequence_of(sequences, count_of(p.sequences, p.dims), t);
  if (c >= p.channels || which < 0) return;
  const Sequence s = sequence_at(sequences, which);
  float v = p.bias ? bias[c] : 0.0f;
  for (int j = 0; j < TAPS; ++j) v = fma(weight[c * TAPS + j], column(x, window, s, t - s.row_begin - (TAPS - 1) + j, c, p), v);
  y[(size_t)t * p.channels + c] = silu(v);
}

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void keep(__global const float *x, __global const int *sequences,
                                                                   __global float *window, Params p) {
  const int c = get_global_id(0);
  if (c >= p.channels) return;
  const Sequence s = sequence_at(sequences, get_group_id(1));
  if (s.rows <= 0 && s.slot_in == s.slot_out) return;
  float last[TAPS];  // all are read before any is written: slot_in may be slot_out
  for (int j = 0; j < TAPS - 1; ++j) last[j] = column(x, window, s, s.rows - (TAPS - 1) + j, c, p);
  for (int j = 0; j < TAPS - 1; ++j) window[((size_t)s.slot_out * (TAPS - 1) + j) * p.channels + c] = last[j];
}
