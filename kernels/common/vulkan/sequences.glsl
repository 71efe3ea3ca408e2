// Which sequence a row of the step belongs to. The kernel declares `sequences` (i32 [S, 5]) and has workgroups of 64.
shared int found_sequence;

// -1: none. Every invocation calls it.
int sequence_of(uint t, uint count) {
  if (gl_LocalInvocationIndex == 0u) found_sequence = -1;
  barrier();
  for (uint s = gl_LocalInvocationIndex; s < count; s += 64u)
    if (uint(sequences.d[5u * s]) <= t && t < uint(sequences.d[5u * s] + sequences.d[5u * s + 1u])) found_sequence = int(s);
  barrier();
  return found_sequence;
}
