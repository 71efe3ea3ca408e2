// The largest logit of a row, the lower index on a tie. A workgroup per row. Grid: (rows).
typedef struct {
  int dims[4];
  Count rows;
  int v;
} Params;

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void greedy(__global const float *logits, __global int *token, Params p) {
  __local float values[GROUP];
  __local int indices[GROUP];
  const int item = get_local_id(0), r = get_group_id(0);
  logits += (size_t)r * p.v;
  // Eight columns at a time, each its own; a later equal value does not displace an earlier one.
  const int8 columns = (int8)(0, 1, 2, 3, 4, 5, 6, 7);
  float8 best = -INFINITY;
  int8 at = 8 * item + columns;
  for (int i = 8 * item; i + 8 <= p.v; i += 8 * GROUP) {
    float8 v = vload8(0, logits + i);
    int8 better = v > best;  // not select(): Intel's compiler for processors loses its result in a loop items leave at different times
    best = better ? v : best;
    at = better ? i + columns : at;
  }
  float found[8] = {best.s0, best.s1, best.s2, best.s3, best.s4, best.s5, best.s6, best.s7};
  int where[8] = {at.s0, at.s1, at.s2, at.s3, at.s4, at.s5, at.s6, at.s7};
  float value = found[0];
  int index = where[0];
  for (int j = 1; j < 8; ++j)
    if (found[j] > value || (found[j] == value && where[j] < index)) {
      value = found[j];
      index = where[j];
    }
  for (int i = p.v / 8 * 8 + item; i < p.v; i += GROUP)
    if (logits[i] > value || (logits[i] == value && i < index)) {
      value = logits[i];
      index = i;
    }
  values[item] = value;
  indices[item] = index;
  for (int width = GROUP / 2; width > 0; width /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < width && (values[item + width] > values[item] || (values[item + width] == values[item] && indices[item + width] < indices[item]))) {
      values[item] = values[item + width];
      indices[item] = indices[item + width];
    }
  }
  if (item == 0) token[r] = min(indices[0], p.v - 1);
}
