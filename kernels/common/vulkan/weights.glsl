// Weight rows in rows32 (kernels/common/packing.h), eight elements at a time.
// The kernel declares before this file:  TYPE, a specialisation constant: hal::DType as a number
//                                        uint word(uint which, uint i): word i of weight buffer `which`
// A chunk is 32 elements of a row: a block of q8_0 and q4_0, an eighth of a k-quant's block.
const uint F32 = 0u, F16 = 1u, BF16 = 2u, Q8_0 = 10u, Q4_0 = 11u, Q4_K = 12u, Q5_K = 13u, Q6_K = 14u;

struct Chunk {
  uint at;   // word of the row, the chunk's quants or its block
  vec2 d;    // scale of the first and second 16 elements
  float m;   // subtracted
};

vec4 bytes4(uint w) { return vec4(w & 255u, (w >> 8) & 255u, (w >> 16) & 255u, w >> 24); }
float signed_byte(uint w) { return float(bitfieldExtract(int(w), 0, 8)); }
vec4 signed4(uint w) {
  int i = int(w);
  return vec4(bitfieldExtract(i, 0, 8), bitfieldExtract(i, 8, 8), bitfieldExtract(i, 16, 8), i >> 24);
}

// row: first word of the row; k: its elements; c: which chunk.
Chunk open_chunk(uint which, uint row, uint k, uint c) {
  Chunk r;
  r.at = row;
  r.d = vec2(1.0);
  r.m = 0.0;
  if (TYPE == Q8_0 || TYPE == Q4_0) {
    vec2 two = unpackHalf2x16(word(which, row + c / 2u));
    r.d = vec2((c & 1u) == 0u ? two.x : two.y);
    r.at = row + (k / 32u + 1u) / 2u + c * (TYPE == Q8_0 ? 8u : 4u);
  } else if (TYPE == Q4_K || TYPE == Q5_K) {
    uint j = c & 7u, shift = 8u * (j & 3u);
    r.at = row + (c >> 3) * (TYPE == Q4_K ? 36u : 44u);
    vec2 dm = unpackHalf2x16(word(which, r.at));
    uint s0 = word(which, r.at + 1u) >> shift, s1 = word(which, r.at + 2u) >> shift;
    uint scale = s0 & 63u, least = s1 & 63u;
    if (j >= 4u) {
      uint s2 = word(which, r.at + 3u) >> shift;
      scale = (s2 & 15u) | (((s0 >> 6) & 3u) << 4);
      least = ((s2 >> 4) & 15u) | (((s1 >> 6) & 3u) << 4);
    }
    r.d = vec2(dm.x * float(scale));
    r.m = dm.y * float(least);
  } else if (TYPE == Q6_K) {
    uint half_ = (c >> 2) & 1u, quarter = c & 3u;
    r.at = row + (c >> 3) * 53u;
    float d = unpackHalf2x16(word(which, r.at + 52u)).x;
    uint s = word(which, r.at + 48u + 2u * half_ + (quarter >> 1)) >> (16u * (quarter & 1u));
    r.d = d * vec2(signed_byte(s), signed_byte(s >> 8));
  }
  return r;
}

// Elements 8 * sub .. 8 * sub + 7 of chunk c; `left` of them are in the row, the others come out as 0.
// Every product is exact in f32 and the one sum rounds once: the values are those of kernels/common/quant.h.
void unpack8(uint which, Chunk h, uint c, uint sub, uint left, out vec4 a, out vec4 b) {
  if (TYPE == Q8_0) {
    a = h.d.x * signed4(word(which, h.at + 2u * sub));
    b = h.d.x * signed4(word(which, h.at + 2u * sub + 1u));
  } else if (TYPE == Q4_0) {
    uint at = h.at + 2u * (sub & 1u), shift = 4u * (sub >> 1);
    a = h.d.x * (bytes4((word(which, at) >> shift) & 0x0f0f0f0fu) - 8.0);
    b = h.d.x * (bytes4((word(which, at + 1u) >> shift) & 0x0f0f0f0fu) - 8.0);
  } else if (TYPE == Q4_K || TYPE == Q5_K) {
    uint j = c & 7u, at = h.at + (TYPE == Q4_K ? 4u : 12u) + 8u * (j >> 1) + 2u * sub, shift = 4u * (j & 1u);
    uint n0 = (word(which, at) >> shift) & 0x0f0f0f0fu, n1 = (word(which, at + 1u) >> shift) & 0x0f0f0f0fu;
    if (TYPE == Q5_K) {
      n0 |= ((word(which, h.at + 4u + 2u * sub) >> j) & 0x01010101u) << 4;
      n1 |= ((word(which, h.at + 5u + 2u * sub) >> j) & 0x01010101u) << 4;
    }
    precise vec4 v0 = fma(vec4(h.d.x), bytes4(n0), vec4(-h.m));
    precise vec4 v1 = fma(vec4(h.d.x), bytes4(n1), vec4(-h.m));
    a = v0;
    b = v1;
  } else if (TYPE == Q6_K) {
    uint half_ = (c >> 2) & 1u, quarter = c & 3u;
    uint low = h.at + 16u * half_ + 8u * (quarter & 1u) + 2u * sub, high = h.at + 32u + 8u * half_ + 2u * sub;
    uint down = 4u * (quarter >> 1), across = 2u * quarter;
    uint n0 = ((word(which, low) >> down) & 0x0f0f0f0fu) | (((word(which, high) >> across) & 0x03030303u) << 4);
    uint n1 = ((word(which, low + 1u) >> down) & 0x0f0f0f0fu) | (((word(which, high + 1u) >> across) & 0x03030303u) << 4);
    float d = sub < 2u ? h.d.x : h.d.y;
    a = d * (bytes4(n0) - 32.0);
    b = d * (bytes4(n1) - 32.0);
  } else if (TYPE == F32) {
    uint at = h.at + 32u * c + 8u * sub;
    a = vec4(0.0);
    b = vec4(0.0);
    if (left >= 8u) {
      a = vec4(uintBitsToFloat(word(which, at)), uintBitsToFloat(word(which, at + 1u)), uintBitsToFloat(word(which, at + 2u)),
               uintBitsToFloat(word(which, at + 3u)));
      b = vec4(uintBitsToFloat(word(which, at + 4u)), uintBitsToFloat(word(which, at + 5u)), uintBitsToFloat(word(which, at + 6u)),
               uintBitsToFloat(word(which, at + 7u)));
    } else {
      for (uint i = 0u; i < left; ++i) {
        float v = uintBitsToFloat(word(which, at + i));
        if (i < 4u) a[i] = v; else b[i - 4u] = v;
      }
    }
  } else {
    uint at = h.at + 16u * c + 4u * sub;
    vec2 v[4];
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
      // An odd row ends in half a word, whose other half is zero.
      uint w = 2u * i < left ? word(which, at + i) : 0u;
      v[i] = TYPE == F16 ? unpackHalf2x16(w) : vec2(uintBitsToFloat(w << 16), uintBitsToFloat(w & 0xffff0000u));
    }
    a = vec4(v[0], v[1]);
    b = vec4(v[2], v[3]);
  }
}
