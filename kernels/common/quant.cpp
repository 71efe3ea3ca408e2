#include "kernels/common/quant.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace switchyard::kernels {
namespace {

using hal::DType;
using Byte = std::uint8_t;

std::uint16_t load_u16(const Byte* p) {
  std::uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}
void store_u16(Byte* p, std::uint16_t v) { std::memcpy(p, &v, 2); }
double half_at(const Byte* p) { return f16_to_f32(load_u16(p)); }

// The 6-bit scales and minimums of q4_k and q5_k: eight of each in twelve bytes.
struct ScaleMin {
  int scale[8], min[8];
};
ScaleMin unpack_scales(const Byte* b) {
  ScaleMin s{};
  for (int j = 0; j < 4; ++j) {
    s.scale[j] = b[j] & 63;
    s.min[j] = b[j + 4] & 63;
    s.scale[j + 4] = (b[j + 8] & 15) | (b[j] >> 6) << 4;
    s.min[j + 4] = (b[j + 8] >> 4) | (b[j + 4] >> 6) << 4;
  }
  return s;
}
void pack_scales(const ScaleMin& s, Byte* b) {
  for (int j = 0; j < 4; ++j) {
    b[j] = static_cast<Byte>(s.scale[j] | (s.scale[j + 4] >> 4) << 6);
    b[j + 4] = static_cast<Byte>(s.min[j] | (s.min[j + 4] >> 4) << 6);
    b[j + 8] = static_cast<Byte>((s.scale[j + 4] & 15) | (s.min[j + 4] & 15) << 4);
  }
}

template <class T>
void decode_q8_0(const Byte* b, T* y) {
  double d = half_at(b);
  for (int i = 0; i < 32; ++i) y[i] = static_cast<T>(d * static_cast<std::int8_t>(b[2 + i]));
}

template <class T>
void decode_q4_0(const Byte* b, T* y) {
  double d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = static_cast<T>(d * ((b[2 + i] & 15) - 8));
    y[16 + i] = static_cast<T>(d * ((b[2 + i] >> 4) - 8));
  }
}

// high: the 32 bytes of fifth bits, or null (q4_k).
template <class T>
void decode_q45_k(const Byte* b, const Byte* high, const Byte* low, T* y) {
  double d = half_at(b), m = half_at(b + 2);
  ScaleMin s = unpack_scales(b + 4);
  for (int j = 0; j < 8; ++j) {
    double scale = d * s.scale[j], min = m * s.min[j];
    for (int l = 0; l < 32; ++l) {
      Byte q = low[32 * (j / 2) + l];
      int n = j % 2 ? q >> 4 : q & 15;
      if (high) n += (high[l] >> j & 1) << 4;
      y[32 * j + l] = static_cast<T>(scale * n - min);
    }
  }
}

template <class T>
void decode_q6_k(const Byte* b, T* y) {
  double d = half_at(b + 208);
  for (int h = 0; h < 2; ++h) {
    const Byte* low = b + 64 * h;
    const Byte* high = b + 128 + 32 * h;
    const Byte* scales = b + 192 + 8 * h;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int l = 0; l < 32; ++l) {
        Byte q = low[32 * (quarter % 2) + l];
        int n = (quarter < 2 ? q & 15 : q >> 4) | (high[l] >> (2 * quarter) & 3) << 4;
        int scale = static_cast<std::int8_t>(scales[2 * quarter + l / 16]);
        y[128 * h + 32 * quarter + l] = static_cast<T>(d * scale * (n - 32));
      }
    }
  }
}

template <class T>
bool decode(DType dtype, const std::byte* row, std::int64_t n, T* y) {
  if (!is_weight_type(dtype)) return false;
  hal::Block block = hal::block(dtype);
  if (n < 0 || n % block.elements != 0) return false;
  auto* b = reinterpret_cast<const Byte*>(row);
  for (std::int64_t i = 0; i < n; i += block.elements, b += block.bytes, y += block.elements) {
    switch (dtype) {
      case DType::f32: {
        float v;
        std::memcpy(&v, b, 4);
        *y = v;
        break;
      }
      case DType::f16: *y = f16_to_f32(load_u16(b)); break;
      case DType::bf16: *y = bf16_to_f32(load_u16(b)); break;
      case DType::q8_0: decode_q8_0(b, y); break;
      case DType::q4_0: decode_q4_0(b, y); break;
      case DType::q4_k: decode_q45_k(b, nullptr, b + 16, y); break;
      case DType::q5_k: decode_q45_k(b, b + 16, b + 48, y); break;
      default: decode_q6_k(b, y); break;
    }
  }
  return true;
}

int nearest(float v, int low, int high) {
  return static_cast<int>(std::nearbyint(std::clamp(v, static_cast<float>(low), static_cast<float>(high))));
}
float inverse(float v) { return v != 0 ? 1 / v : 0; }
// The scale as it will be read back, so that the quants are chosen for the stored one.
float store_half(Byte* p, float v) {
  std::uint16_t half = f32_to_f16(v);
  store_u16(p, half);
  return f16_to_f32(half);
}
float largest(const float* x, int n) {
  float best = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  return best;
}

void encode_q8_0(const float* x, Byte* b) {
  float max = std::fabs(largest(x, 32));
  store_half(b, max / 127);
  float id = max != 0 ? 127 / max : 0;
  for (int i = 0; i < 32; ++i) b[2 + i] = static_cast<Byte>(nearest(x[i] * id, -127, 127));
}

void encode_q4_0(const float* x, Byte* b) {
  float id = inverse(store_half(b, largest(x, 32) / -8));
  for (int i = 0; i < 16; ++i)
    b[2 + i] = static_cast<Byte>((nearest(x[i] * id, -8, 7) + 8) | (nearest(x[16 + i] * id, -8, 7) + 8) << 4);
}

void encode_q45_k(const float* x, int levels, Byte* b, Byte* high, Byte* low) {
  float scales[8], mins[8], max_scale = 0, max_min = 0;
  for (int j = 0; j < 8; ++j) {
    auto [lo, hi] = std::minmax_element(x + 32 * j, x + 32 * j + 32);
    mins[j] = std::max(0.0f, -*lo);
    scales[j] = (std::max(0.0f, *hi) + mins[j]) / static_cast<float>(levels - 1);
    max_scale = std::max(max_scale, scales[j]);
    max_min = std::max(max_min, mins[j]);
  }
  float d = store_half(b, max_scale / 63), m = store_half(b + 2, max_min / 63);
  ScaleMin s{};
  std::memset(low, 0, 128);
  if (high) std::memset(high, 0, 32);
  for (int j = 0; j < 8; ++j) {
    s.scale[j] = nearest(scales[j] * inverse(d), 0, 63);
    s.min[j] = nearest(mins[j] * inverse(m), 0, 63);
    float id = inverse(d * static_cast<float>(s.scale[j])), min = m * static_cast<float>(s.min[j]);
    for (int l = 0; l < 32; ++l) {
      int n = nearest((x[32 * j + l] + min) * id, 0, levels - 1);
      low[32 * (j / 2) + l] = static_cast<Byte>(low[32 * (j / 2) + l] | (n & 15) << (4 * (j % 2)));
      if (high) high[l] = static_cast<Byte>(high[l] | (n >> 4) << j);
    }
  }
  pack_scales(s, b + 4);
}

void encode_q6_k(const float* x, Byte* b) {
  float scales[16];
  for (int j = 0; j < 16; ++j) scales[j] = largest(x + 16 * j, 16) / -32;
  float d = store_half(b + 208, largest(scales, 16) / -128);
  std::memset(b, 0, 192);
  for (int i = 0; i < 256; ++i) {
    int scale = nearest(scales[i / 16] * inverse(d), -128, 127);
    b[192 + i / 16] = static_cast<Byte>(scale);
    int n = nearest(x[i] * inverse(d * static_cast<float>(scale)), -32, 31) + 32;
    int h = i / 128, quarter = i % 128 / 32, l = i % 32;
    Byte& low = b[64 * h + 32 * (quarter % 2) + l];
    Byte& high = b[128 + 32 * h + l];
    low = static_cast<Byte>(low | (n & 15) << (quarter < 2 ? 0 : 4));
    high = static_cast<Byte>(high | (n >> 4) << (2 * quarter));
  }
}

}  // namespace

float f16_to_f32(std::uint16_t half) {
  std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31,
                mantissa = half & 1023;
  if (exponent == 0) {
    float v = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -v : v;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

std::uint16_t f32_to_f16(float value) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value), sign = bits >> 16 & 0x8000;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (bits >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00);  // 65520 and above round to infinity
  if (bits < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the subnormal, rounded to even, in the low bits
    std::uint32_t rounded = std::bit_cast<std::uint32_t>(std::bit_cast<float>(bits) + 0.5f);
    return static_cast<std::uint16_t>(sign | (rounded - 0x3f000000u));
  }
  bits += 0xfffu + (bits >> 13 & 1);
  return static_cast<std::uint16_t>(sign | ((bits - 0x38000000u) >> 13));
}

float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t f32_to_bf16(float value) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

bool is_weight_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::q8_0:
    case DType::q4_0:
    case DType::q4_k:
    case DType::q5_k:
    case DType::q6_k: return true;
    default: return false;
  }
}

bool dequantize_row(DType dtype, const std::byte* row, std::int64_t n, float* out) {
  return decode(dtype, row, n, out);
}
bool dequantize_row(DType dtype, const std::byte* row, std::int64_t n, double* out) {
  return decode(dtype, row, n, out);
}

bool quantize_row(DType dtype, const float* values, std::int64_t n, std::byte* row) {
  if (!is_weight_type(dtype)) return false;
  hal::Block block = hal::block(dtype);
  if (n < 0 || n % block.elements != 0) return false;
  auto* b = reinterpret_cast<Byte*>(row);
  for (std::int64_t i = 0; i < n; i += block.elements, b += block.bytes, values += block.elements) {
    switch (dtype) {
      case DType::f32: std::memcpy(b, values, 4); break;
      case DType::f16: store_u16(b, f32_to_f16(*values)); break;
      case DType::bf16: store_u16(b, f32_to_bf16(*values)); break;
      case DType::q8_0: encode_q8_0(values, b); break;
      case DType::q4_0: encode_q4_0(values, b); break;
      case DType::q4_k: encode_q45_k(values, 16, b, nullptr, b + 16); break;
      case DType::q5_k: encode_q45_k(values, 32, b, b + 16, b + 48); break;
      default: encode_q6_k(values, b); break;
    }
  }
  return true;
}

}  // namespace switchyard::kernels
