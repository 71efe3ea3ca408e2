// -DK. A workgroup per row: every expert counts those before it, which is its place. Grid: (rows).
typedef struct {
  int dims[4];
  Count rows;
  int experts;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void router_topk(__global const float *logits, __global int *index,
                                                                          __global float *gate, Params p) {
  __local float best[K];
  const int item = get_local_id(0), t = get_group_id(0);
  logits += (size_t)t * p.experts;
  for (int e = item; e < p.experts; e += GROUP) {
    const float mine = logits[e];
    int before = 0;
    for (int other = 0; other < p.experts; ++other) before += logits[other] > mine || (logits[other] == mine && other < e);
    if (before < K) {
      index[(size_t)t * K + before] = e;
      best[before] = mine;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  float sum = 0.0f;
  for (int i = 0; i < K; ++i) sum += exp_of(best[i] - best[0]);
  for (int i = item; i < K; i += GROUP) gate[(size_t)t * K + i] = exp_of(best[i] - best[0]) / sum;
}
