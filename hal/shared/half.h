// IEEE half <-> float, for backends that convert at a border. To half: to nearest, ties to even; too large: infinity.
#pragma once
#include <bit>
#include <cstdint>

namespace switchyard::hal {

inline float half_to_float(std::uint16_t h) {
  std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // The exponent is moved by a multiplication, which also normalises subnormals.
  float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

// The float nearest to x that a half can hold, without going through sixteen bits.
inline float round_to_half(float x) {
  std::uint32_t u = std::bit_cast<std::uint32_t>(x), sign = u & 0x80000000u, magnitude = u & 0x7fffffffu;
  if (magnitude >= 0x477ff000u)  // 65520 and above, infinity, NaN
    return magnitude > 0x7f800000u ? x : std::bit_cast<float>(sign | 0x7f800000u);
  float a = std::bit_cast<float>(magnitude);
  if (magnitude < 0x38800000u) {
    a = (a + 0.5f) - 0.5f;  // the sum's last place is 2^-24, the subnormals' step
  } else {
    a = std::bit_cast<float>((magnitude + 0xfffu + (magnitude >> 13 & 1u)) & ~0x1fffu);
  }
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(a));
}

inline std::uint16_t float_to_half(float x) {
  std::uint32_t u = std::bit_cast<std::uint32_t>(round_to_half(x)), magnitude = u & 0x7fffffffu;
  auto sign = static_cast<std::uint16_t>(u >> 16 & 0x8000u);
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude == 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  auto moved = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p-112f);
  return static_cast<std::uint16_t>(sign | moved >> 13);
}

}  // namespace switchyard::hal
