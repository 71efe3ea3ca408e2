// In front of every OpenCL C kernel: weights read from rows32 words (kernels/common/packing.h), exp and its kin, sums over a
// workgroup. Plain OpenCL C 1.2: no extension is used.
//
// Results must not depend on what else is in a launch: no contraction the source does not write, no library function whose
// vector and scalar forms may differ, and every sum in an order fixed by its own length.
#pragma OPENCL FP_CONTRACT OFF

// A dimension: the number in dims[symbol], or `fixed` where symbol is negative.
typedef struct {
  int symbol, fixed;
} Count;
static int count_of(Count c, const int *dims) { return c.symbol < 0 ? c.fixed : dims[c.symbol]; }

static float sum8(float8 v) {
  float4 a = v.lo + v.hi;
  float2 b = a.lo + a.hi;
  return b.x + b.y;
}

// e^x over the whole range: 0 below -104, infinity above 88.73, NaN stays NaN.
#define DEFINE_MATH(float_t, int_t, as_int_t, as_float_t)                                            \
  static float_t __attribute__((overloadable)) exp_of(float_t x) {                                   \
    x = x > 89.0f ? (float_t)89.0f : x;                                                              \
    x = x < -104.0f ? (float_t)-104.0f : x;                                                          \
    float_t shifted = fma(x, (float_t)1.44269504f, (float_t)12582912.0f);                            \
    float_t n = shifted - 12582912.0f;                                                               \
    float_t r = fma(n, (float_t)2.12194440e-4f, fma(n, (float_t)-0.693359375f, x));                  \
    float_t p = fma((float_t)1.9875691500e-4f, r, (float_t)1.3981999507e-3f);                        \
    p = fma(p, r, (float_t)8.3334519073e-3f);                                                        \
    p = fma(p, r, (float_t)4.1665795894e-2f);                                                        \
    p = fma(p, r, (float_t)1.6666665459e-1f);                                                        \
    p = fma(p, r, (float_t)5.0000001201e-1f);                                                        \
    p = fma(p, r * r, r) + 1.0f;                                                                     \
    int_t exponent = as_int_t(shifted) - 0x4b400000;                                                 \
    int_t first = exponent >> 1, rest = exponent - first;                                            \
    return p * as_float_t((first + 127) << 23) * as_float_t((rest + 127) << 23);                     \
  }                                                                                                  \
  static float_t __attribute__((overloadable)) silu(float_t x) { return x / (1.0f + exp_of(-x)); }
DEFINE_MATH(float, int, as_int, as_float)
DEFINE_MATH(float8, int8, as_int8, as_float8)

// log(1 + e^x), without overflow.
static float softplus(float x) {
  float y = exp_of(-fabs(x));  // log(1 + y) = 2 atanh(s), s at most 1/3
  float s = y / (2.0f + y), q = s * s;
  float p = fma(1.0f / 15, q, 1.0f / 13);
  p = fma(p, q, 1.0f / 11);
  p = fma(p, q, 1.0f / 9);
  p = fma(p, q, 1.0f / 7);
  p = fma(p, q, 1.0f / 5);
  p = fma(p, q, 1.0f / 3);
  return fmax(x, 0.0f) + 2.0f * fma(s, q * p, s);
}

// Over a workgroup of GROUP items, in two rounds of eight; `buffer` holds GROUP + 8 floats and may be used again afterwards.
#define GROUP 64
#define DEFINE_GROUP(name, combine)                                                  \
  static float name(float v, __local float *buffer) {                                \
    const int i = get_local_id(0);                                                   \
    buffer[i] = v;                                                                   \
    barrier(CLK_LOCAL_MEM_FENCE);                                                    \
    if (i < 8) {                                                                     \
      float part = buffer[8 * i];                                                    \
      for (int j = 1; j < 8; ++j) part = combine(part, buffer[8 * i + j]);           \
      buffer[GROUP + i] = part;                                                      \
    }                                                                                \
    barrier(CLK_LOCAL_MEM_FENCE);                                                    \
    float all = buffer[GROUP];                                                       \
    for (int j = 1; j < 8; ++j) all = combine(all, buffer[GROUP + j]);               \
    barrier(CLK_LOCAL_MEM_FENCE);                                                    \
    return all;                                                                      \
  }
#define PLUS(a, b) ((a) + (b))
DEFINE_GROUP(group_sum, PLUS)
DEFINE_GROUP(group_max, fmax)

// The sequence (i32 [S, 5]) that row t belongs to.
typedef struct {
  int row_begin, rows, slot_in, slot_out, past;
} Sequence;
static Sequence sequence_at(__global const int *sequences, int s) {
  __global const int *q = sequences + 5 * s;
  Sequence all = {q[0], q[1], q[2], q[3], q[4]};
  return all;
}
// Its index, or -1 for a row that belongs to none.
static int sequence_of(__global const int *sequences, int count, int t) {
  for (int s = 0; s < count; ++s)
    if (t >= sequences[5 * s] && t < sequences[5 * s] + sequences[5 * s + 1]) return s;
  return -1;
}

// Rows of -DN floats as CHUNKS vectors, the last one padded with zeros.
#ifdef N
#define CHUNKS ((N + 7) / 8)
static float8 load_chunk(__global const float *row, int c) {
#if N % 8
  if (c == CHUNKS - 1) {
    float rest[8] = {0};
    for (int i = 0; i < N % 8; ++i) rest[i] = row[8 * c + i];
    return (float8)(rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7]);
  }
#endif
  return vload8(c, row);
}
static void store_chunk(float8 v, __global float *row, int c) {
#if N % 8
  if (c == CHUNKS - 1) {
    float rest[8] = {v.s0, v.s1, v.s2, v.s3, v.s4, v.s5, v.s6, v.s7};
    for (int i = 0; i < N % 8; ++i) row[8 * c + i] = rest[i];
    return;
  }
#endif
  vstore8(v, c, row);
}
#endif

// ---- weights: -DTYPE=number of hal::DType ----
#define F32 0
#define F16 1
#define BF16 2
#define Q8_0 10
#define Q4_0 11
#define Q4_K 12
#define Q5_K 13
#define Q6_K 14

#ifdef TYPE
#define BLOCKED (TYPE >= Q8_0)

static float half_of(uint bits) {
  uint magnitude = bits & 0x7fff;
  float v = magnitude < 0x400 ? (float)magnitude * 0x1p-24f : as_float((magnitude << 13) + 0x38000000u);
  return bits & 0x8000 ? -v : v;
}
static float scale_half(__global const uint *row, int block) {
  uint word = row[block >> 1];
  return half_of(block & 1 ? word >> 16 : word & 0xffff);
}

// What 32 consecutive elements share: value = x * quant - y (k types: two halves of 16, or a minimum).
typedef float2 Scale;

// Elements 32 b .. 32 b + 31 of a row are read as scale_of(row, b) and eight(row, k, b, e, scale) for e = 0..3.
#if TYPE == F32
static Scale scale_of(__global const uint *row, int b) { return (float2)(1.0f, 0.0f); }
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) { return as_float8(vload8(4 * b + e, row)); }
static float one(__global const uint *row, int i) { return as_float(row[i]); }

#elif TYPE == F16
static Scale scale_of(__global const uint *row, int b) { return (float2)(1.0f, 0.0f); }
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  return vload_half8(4 * b + e, (__global const half *)row);
}
static float one(__global const uint *row, int i) { return scale_half(row, i); }

#elif TYPE == BF16
static Scale scale_of(__global const uint *row, int b) { return (float2)(1.0f, 0.0f); }
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  uint4 word = vload4(4 * b + e, row);
  uint4 low = word << 16, high = word & 0xffff0000u;
  return as_float8((uint8)(low.x, high.x, low.y, high.y, low.z, high.z, low.w, high.w));
}
static float one(__global const uint *row, int i) { return as_float(i & 1 ? row[i >> 1] & 0xffff0000u : row[i >> 1] << 16); }

#elif TYPE == Q8_0
static Scale scale_of(__global const uint *row, int b) { return (float2)(scale_half(row, b), 0.0f); }
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  __global const uint *quants = row + ((k / 32 + 1) >> 1);
  return s.x * convert_float8(as_char8(vload2(4 * b + e, quants)));
}

#elif TYPE == Q4_0
static Scale scale_of(__global const uint *row, int b) { return (float2)(scale_half(row, b), 0.0f); }
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  __global const uint *quants = row + ((k / 32 + 1) >> 1);
  uint2 word = vload2(2 * b + (e & 1), quants) >> (uint2)(e & 2 ? 4 : 0);
  return s.x * (convert_float8(as_uchar8(word & 0x0f0f0f0fu)) - 8.0f);
}

#elif TYPE == Q4_K || TYPE == Q5_K
#define BLOCK_WORDS (TYPE == Q4_K ? 36 : 44)
// Six-bit scales and minimums, eight of each in words 1 to 3.
static Scale scale_of(__global const uint *row, int b) {
  __global const uint *block = row + (b >> 3) * BLOCK_WORDS;
  int j = b & 3, shift = 8 * j;
  uint first = block[1] >> shift, second = block[2] >> shift, third = block[3] >> shift;
  uint scale = b & 4 ? (third & 15) | (first >> 6 & 3) << 4 : first & 63;
  uint low = b & 4 ? (third >> 4 & 15) | (second >> 6 & 3) << 4 : second & 63;
  return (float2)(half_of(block[0] & 0xffff) * (float)scale, half_of(block[0] >> 16) * (float)low);
}
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  __global const uint *block = row + (b >> 3) * BLOCK_WORDS;
  int j = b & 7;
  uint2 word = vload2(4 * (j >> 1) + e, block + BLOCK_WORDS - 32) >> (uint2)(j & 1 ? 4 : 0);
  word &= 0x0f0f0f0fu;
#if TYPE == Q5_K
  word |= (vload2(e, block + 4) >> (uint2)(j) & 0x01010101u) << 4;
#endif
  return fma((float8)s.x, convert_float8(as_uchar8(word)), (float8)-s.y);
}

#elif TYPE == Q6_K
static Scale scale_of(__global const uint *row, int b) {
  __global const uint *block = row + (b >> 3) * 53;
  int j = b & 7;
  uint two = block[48 + (j >> 1)] >> (j & 1 ? 16 : 0);
  float d = half_of(block[52] & 0xffff);
  return (float2)(d * (float)as_char((uchar)(two & 255)), d * (float)as_char((uchar)(two >> 8 & 255)));
}
static float8 eight(__global const uint *row, int k, int b, int e, Scale s) {
  __global const uint *block = row + (b >> 3) * 53;
  int part = b >> 2 & 1, quarter = b & 3;
  uint2 low = vload2(8 * part + 4 * (quarter & 1) + e, block) >> (uint2)(quarter & 2 ? 4 : 0);
  uint2 high = vload2(16 + 4 * part + e, block) >> (uint2)(2 * quarter);
  uint2 word = (low & 0x0f0f0f0fu) | (high & 0x03030303u) << 4;
  return (e & 2 ? s.y : s.x) * (convert_float8(as_uchar8(word)) - 32.0f);
}
#endif

// Elements 8 c .. 8 c + 7 of a row (fewer at the end of an unblocked one), times `factor`.
static void unpack_eight(__global const uint *row, int k, int c, float factor, __global float *out) {
  if (c / 4 < k / 32) {
    vstore8(factor * eight(row, k, c / 4, c % 4, scale_of(row, c / 4)), c, out);
    return;
  }
#if !BLOCKED
  for (int i = 8 * c; i < min(8 * c + 8, k); ++i) out[i] = factor * one(row, i);
#endif
}

// A workgroup of 64 items computes COLS * 16 dot products of weight rows for each of ROWS rows of x: LANES items share a dot
// product, each with every LANES-th block of 32 elements, and their parts are added in the order of the lanes. ROWS changes
// how often a weight is unpacked, not the order of any sum.
#ifdef ROWS
#define LANES 4
#define COLS 2

// parts[(c * ROWS + r) * LANES + lane] = this lane's part of w[c] . x[r].
static void dot_parts(__local float *parts, __global const uint **w, __global const float **x, int k, int lane) {
  float8 sum[COLS * ROWS];
  #pragma unroll
  for (int i = 0; i < COLS * ROWS; ++i) sum[i] = 0.0f;
  for (int b = lane; b < k / 32; b += LANES) {
    Scale scale[COLS];
    #pragma unroll
    for (int c = 0; c < COLS; ++c) scale[c] = scale_of(w[c], b);
    for (int e = 0; e < 4; ++e) {
      float8 weight[COLS];
      #pragma unroll
      for (int c = 0; c < COLS; ++c) weight[c] = eight(w[c], k, b, e, scale[c]);
      #pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        float8 v = vload8(4 * b + e, x[r]);
        #pragma unroll
        for (int c = 0; c < COLS; ++c) sum[c * ROWS + r] = fma(weight[c], v, sum[c * ROWS + r]);
      }
    }
  }
#if !BLOCKED
  for (int i = k / 32 * 32 + lane; i < k; i += LANES)
    #pragma unroll
    for (int c = 0; c < COLS; ++c)
      #pragma unroll
      for (int r = 0; r < ROWS; ++r) sum[c * ROWS + r].s0 = fma(one(w[c], i), x[r][i], sum[c * ROWS + r].s0);
#endif
  #pragma unroll
  for (int i = 0; i < COLS * ROWS; ++i) parts[i * LANES + lane] = sum8(sum[i]);
}
static float dot_of(__local const float *parts) { return (parts[0] + parts[1]) + (parts[2] + parts[3]); }
#endif  // ROWS
#endif  // TYPE
