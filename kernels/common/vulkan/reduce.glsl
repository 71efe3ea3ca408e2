// Sums over a workgroup of 64 in an order that never changes: 8 sums of 8 neighbours, then those 8.
// Every invocation calls it; all get the sum. reduce_part may be used again at once.
shared float reduce_part[64];
shared float reduce_eight[8];

float reduce_sum(float value) {
  uint i = gl_LocalInvocationIndex;
  reduce_part[i] = value;
  barrier();
  if (i < 8u) {
    precise float sum = reduce_part[8u * i];
    for (uint j = 1u; j < 8u; ++j) sum += reduce_part[8u * i + j];
    reduce_eight[i] = sum;
  }
  barrier();
  precise float total = reduce_eight[0];
  for (uint j = 1u; j < 8u; ++j) total += reduce_eight[j];
  barrier();
  return total;
}
