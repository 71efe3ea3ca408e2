// One workgroup per row and kv head: the query heads of the group share what is read of the cache. The context goes by in
// tiles of 64 positions, with a running maximum; the order of all sums depends on the position alone.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "math.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool HALVES = false;
layout(constant_id = 1) const uint GROUP = 1;  // query heads per kv head
layout(constant_id = 2) const uint DIM = 64;   // head_dim, even
layout(push_constant) uniform Push {
  ivec4 dims;
  uint kv_heads, page_size, pages_per_row;
  int rows_symbol, sequences_symbol;
  float scale;
} p;
layout(set = 0, binding = 0) readonly buffer Q { float d[]; } q;
layout(set = 0, binding = 1) readonly buffer Sequences { int d[]; } sequences;
layout(set = 0, binding = 2) readonly buffer Table { int d[]; } page_table;
layout(set = 0, binding = 3) readonly buffer KPages { uint d[]; } k_pages;
layout(set = 0, binding = 4) readonly buffer VPages { uint d[]; } v_pages;
layout(set = 0, binding = 5) writeonly buffer Out { float d[]; } y;
#include "sequences.glsl"

const uint PAIRS = DIM / 2u;
const uint MINE = (PAIRS + 63u) / 64u;  // pairs of the output per invocation

shared float query[GROUP * DIM];
shared float score[GROUP * 64u];  // of the tile: scores, then their exponentials
shared float top[GROUP * 8u];
shared uint row_of[64];           // cache row of each position of the tile

vec2 k_pair(uint i) { return HALVES ? unpackHalf2x16(k_pages.d[i]) : vec2(uintBitsToFloat(k_pages.d[2u * i]), uintBitsToFloat(k_pages.d[2u * i + 1u])); }
vec2 v_pair(uint i) { return HALVES ? unpackHalf2x16(v_pages.d[i]) : vec2(uintBitsToFloat(v_pages.d[2u * i]), uintBitsToFloat(v_pages.d[2u * i + 1u])); }

void main() {
  uint t = group_index() / p.kv_heads, kv = group_index() % p.kv_heads, lane = gl_LocalInvocationIndex;
  if (t >= uint(p.dims[p.rows_symbol])) return;
  int s = sequence_of(t, uint(p.dims[p.sequences_symbol]));
  if (s < 0) return;
  uint context = uint(sequences.d[5 * s + 4]) + t - uint(sequences.d[5 * s]) + 1u;
  uint at_q = (t * p.kv_heads + kv) * GROUP * DIM;
  for (uint i = lane; i < GROUP * DIM; i += 64u) query[i] = q.d[at_q + i] * p.scale;

  float most[GROUP], sum[GROUP];
  vec2 acc[MINE * GROUP];
  for (uint g = 0u; g < GROUP; ++g) {
    most[g] = -3.4e38;
    sum[g] = 0.0;
  }
  for (uint i = 0u; i < MINE * GROUP; ++i) acc[i] = vec2(0.0);

  for (uint first = 0u; first < context; first += 64u) {
    uint count = min(context - first, 64u), position = first + lane;
    float dots[GROUP];
    for (uint g = 0u; g < GROUP; ++g) dots[g] = 0.0;
    barrier();  // query is there; the last tile's scores and rows are no longer read
    if (lane < count) {
      uint row = uint(page_table.d[uint(s) * p.pages_per_row + position / p.page_size]) * p.page_size + position % p.page_size;
      uint at = (row * p.kv_heads + kv) * PAIRS;
      row_of[lane] = at;
      for (uint i = 0u; i < PAIRS; ++i) {
        vec2 k = k_pair(at + i);
        for (uint g = 0u; g < GROUP; ++g) {
          precise float more = fma(query[g * DIM + 2u * i], k.x, dots[g]);
          more = fma(query[g * DIM + 2u * i + 1u], k.y, more);
          dots[g] = more;
        }
      }
    }
    for (uint g = 0u; g < GROUP; ++g) score[g * 64u + lane] = lane < count ? dots[g] : -3.4e38;
    barrier();
    for (uint i = lane; i < GROUP * 8u; i += 64u) {
      float m = score[8u * i];
      for (uint j = 1u; j < 8u; ++j) m = max(m, score[8u * i + j]);
      top[i] = m;
    }
    barrier();
    for (uint g = 0u; g < GROUP; ++g) {
      float m = most[g];
      for (uint j = 0u; j < 8u; ++j) m = max(m, top[8u * g + j]);
      precise float shrink = exp_(most[g] - m);
      precise float e = lane < count ? exp_(dots[g] - m) : 0.0;
      precise float more = sum[g] * shrink + e;
      sum[g] = more;
      most[g] = m;
      score[g * 64u + lane] = e;
      for (uint i = 0u; i < MINE; ++i) acc[i * GROUP + g] *= shrink;
    }
    barrier();
    for (uint i = 0u; i < MINE; ++i) {
      uint pair = lane + 64u * i;
      if (pair >= PAIRS) break;
      for (uint j = 0u; j < count; ++j) {
        vec2 v = v_pair(row_of[j] + pair);
        for (uint g = 0u; g < GROUP; ++g) {
          precise vec2 more = fma(vec2(score[g * 64u + j]), v, acc[i * GROUP + g]);
          acc[i * GROUP + g] = more;
        }
      }
    }
  }

  barrier();
  for (uint g = 0u; g < GROUP; ++g) score[g * 64u + lane] = sum[g];
  barrier();
  for (uint i = lane; i < GROUP * 8u; i += 64u) {
    precise float part = score[8u * i];
    for (uint j = 1u; j < 8u; ++j) part += score[8u * i + j];
    top[i] = part;
  }
  barrier();
  for (uint g = 0u; g < GROUP; ++g) {
    precise float total = top[8u * g];
    for (uint j = 1u; j < 8u; ++j) total += top[8u * g + j];
    for (uint i = 0u; i < MINE; ++i) {
      uint pair = lane + 64u * i;
      if (pair >= PAIRS) break;
      vec2 out_ = acc[i * GROUP + g] / total;
      y.d[at_q + g * DIM + 2u * pair] = out_.x;
      y.d[at_q + g * DIM + 2u * pair + 1u] = out_.y;
    }
  }
}
