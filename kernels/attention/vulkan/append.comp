// Writes one row's keys and values into the cache; with halves, one invocation writes both halves of a word.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool HALVES = false;
layout(push_constant) uniform Push {
  ivec4 dims;
  uint width, page_size, pages_per_row;  // width: kv_heads * head_dim
  int rows_symbol, sequences_symbol;
} p;
layout(set = 0, binding = 0) readonly buffer K { float d[]; } k;
layout(set = 0, binding = 1) readonly buffer V { float d[]; } v;
layout(set = 0, binding = 2) readonly buffer Sequences { int d[]; } sequences;
layout(set = 0, binding = 3) readonly buffer Table { int d[]; } page_table;
layout(set = 0, binding = 4) writeonly buffer KPages { uint d[]; } k_pages;
layout(set = 0, binding = 5) writeonly buffer VPages { uint d[]; } v_pages;
#include "sequences.glsl"

void main() {
  uint t = group_index();
  if (t >= uint(p.dims[p.rows_symbol])) return;
  int s = sequence_of(t, uint(p.dims[p.sequences_symbol]));
  if (s < 0) return;
  uint position = uint(sequences.d[5 * s + 4]) + t - uint(sequences.d[5 * s]);
  uint page = uint(page_table.d[uint(s) * p.pages_per_row + position / p.page_size]);
  uint row = page * p.page_size + position % p.page_size;
  if (HALVES) {
    for (uint i = gl_LocalInvocationIndex; i < p.width / 2u; i += 64u) {
      uint from = t * p.width + 2u * i;
      k_pages.d[row * (p.width / 2u) + i] = pack_halves(k.d[from], k.d[from + 1u]);
      v_pages.d[row * (p.width / 2u) + i] = pack_halves(v.d[from], v.d[from + 1u]);
    }
  } else {
    for (uint i = gl_LocalInvocationIndex; i < p.width; i += 64u) {
      k_pages.d[row * p.width + i] = floatBitsToUint(k.d[t * p.width + i]);
      v_pages.d[row * p.width + i] = floatBitsToUint(v.d[t * p.width + i]);
    }
  }
}
