// -DN=head_dim -DHALF=0|1. A workgroup per head of a row goes through the context in blocks of SPAN positions, always from
// position 0, with the running maximum and sum of the softmax. Grid: (heads, rows).
typedef struct {
  int dims[4];
  Count rows, sequences;
  int heads, kv_heads, page_size, columns;
  float scale;
} Params;

#define SPAN (4 * GROUP)
#define PARTS (GROUP / CHUNKS)  // items that share a chunk of the output, each with every PARTS-th position

#if HALF
typedef half Kept;
static float8 kept(__global const half *row, int c) {
#if N % 8
  if (c == CHUNKS - 1) {
    float rest[8] = {0};
    for (int i = 0; i < N % 8; ++i) rest[i] = vload_half(8 * c + i, row);
    return (float8)(rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7]);
  }
#endif
  return vload_half8(c, row);
}
#else
typedef float Kept;
#define kept load_chunk
#endif

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void attention(
    __global const float *q, __global const int *sequences, __global const int *page_table, __global const Kept *k_pages,
    __global const Kept *v_pages, __global float *y, Params p) {
  __local float buffer[GROUP + 8], weight[SPAN], total[PARTS * CHUNKS * 8];
  __local int place[SPAN];  // row of the pages that holds a position
  const int item = get_local_id(0), h = get_group_id(0), t = get_group_id(1);
  const int which = sequence_of(sequences, count_of(p.sequences, p.dims), t);
  int context = 0;
  if (which >= 0) context = sequences[5 * which + 4] + t - sequences[5 * which] + 1;
  const int kv_head = h / (p.heads / p.kv_heads), chunk = item % CHUNKS, part = item / CHUNKS;
  q += ((size_t)t * p.heads + h) * N;

  float most = -INFINITY, sum = 0.0f;
  float8 out = 0.0f;
  for (int begin = 0; begin < context; begin += SPAN) {
    const int n = min(SPAN, context - begin);
    float here = -INFINITY;
    for (int i = item; i < n; i += GROUP) {
      const int position = begin + i;
      const int row = page_table[which * p.columns + position / p.page_size] * p.page_size + position % p.page_size;
      __global const Kept *k = k_pages + ((size_t)row * p.kv_heads + kv_head) * N;
      float8 dot = 0.0f;
      for (int c = 0; c < CHUNKS; ++c) dot = fma(load_chunk(q, c), kept(k, c), dot);
      float score = p.scale * sum8(dot);
      place[i] = row;
      weight[i] = score;
      here = fmax(here, score);
    }
    const float top = fmax(most, group_max(here, buffer)), fade = exp_of(most - top);
    most = top;
    sum *= fade;
    for (int i = item; i < n; i += GROUP) {
      weight[i] = exp_of(weight[i] - top);
      sum += weight[i];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    out *= fade;
    if (part < PARTS)
      for (int i = part; i < n; i += PARTS)
        out = fma((float8)weight[i], kept(v_pages + ((size_t)place[i] * p.kv_heads + kv_head) * N, chunk), out);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  const float all = group_sum(sum, buffer);
  if (part < PARTS) vstore8(out, part * CHUNKS + chunk, total);
  barrier(CLK_LOCAL_MEM_FENCE);
  if (which < 0) return;
  for (int i = item; i < N; i += GROUP) {
    float v = total[i];
    for (int g = 1; g < PARTS; ++g) v += total[g * CHUNKS * 8 + i];
    y[((size_t)t * p.heads + h) * N + i] = v / all;
  }
}
