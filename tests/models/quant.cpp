#include "kernels/common/quant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace switchyard::kernels {
namespace {

using hal::DType;

TEST(Half, RoundTripsEveryPattern) {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    auto half = static_cast<std::uint16_t>(i);
    float v = f16_to_f32(half);
    if (std::isnan(v)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(v)))) << i;
    } else {
      EXPECT_EQ(f32_to_f16(v), half) << i;
    }
    float b = bf16_to_f32(half);
    if (std::isnan(b)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(b)))) << i;
    } else {
      EXPECT_EQ(f32_to_bf16(b), half) << i;
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  // Midpoints of neighbours and the values beside them, over normals and subnormals.
  for (std::uint32_t i = 0; i < 0x7bff; ++i) {
    auto low = static_cast<std::uint16_t>(i), high = static_cast<std::uint16_t>(i + 1);
    double a = f16_to_f32(low), b = f16_to_f32(high);
    auto middle = static_cast<float>((a + b) / 2);  // exact in f32
    EXPECT_EQ(f32_to_f16(middle), i % 2 ? high : low) << i;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low) << i;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), high) << i;
  }
  EXPECT_EQ(f32_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
}

struct Case {
  DType dtype;
  double tolerance;  // largest error over the largest magnitude of the block, of an encoder that only rounds
};

class Quant : public testing::TestWithParam<Case> {};

TEST_P(Quant, EncodingRoundsWithinTheTypesStep) {
  auto [dtype, tolerance] = GetParam();
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> x(4096), y(x.size());
  std::vector<double> exact(x.size());
  for (float& v : x) v = normal(rng);
  std::vector<std::byte> bytes(hal::row_bytes(dtype, 4096));
  ASSERT_TRUE(quantize_row(dtype, x.data(), 4096, bytes.data()));
  ASSERT_TRUE(dequantize_row(dtype, bytes.data(), 4096, y.data()));
  ASSERT_TRUE(dequantize_row(dtype, bytes.data(), 4096, exact.data()));
  std::size_t step = std::max(32u, hal::block(dtype).elements);  // single small values of f16 are subnormal
  for (std::size_t b = 0; b < x.size(); b += step) {
    double largest = 0, worst = 0;
    for (std::size_t i = b; i < b + step; ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[i])));
      worst = std::max(worst, std::fabs(static_cast<double>(x[i]) - exact[i]));
      EXPECT_EQ(y[i], static_cast<float>(exact[i]));
    }
    EXPECT_LE(worst, tolerance * largest) << to_string(dtype) << " block at " << b;
  }
}

TEST_P(Quant, ZerosStayZerosAndPartialBlocksAreRefused) {
  DType dtype = GetParam().dtype;
  std::vector<float> x(256, 0.0f), y(256, 1.0f);
  std::vector<std::byte> bytes(hal::row_bytes(dtype, 256));
  ASSERT_TRUE(quantize_row(dtype, x.data(), 256, bytes.data()));
  ASSERT_TRUE(dequantize_row(dtype, bytes.data(), 256, y.data()));
  EXPECT_EQ(x, y);
  if (hal::block(dtype).elements > 1) {
    EXPECT_FALSE(quantize_row(dtype, x.data(), 255, bytes.data()));
    EXPECT_FALSE(dequantize_row(dtype, bytes.data(), 31, y.data()));
  }
  EXPECT_FALSE(dequantize_row(dtype, bytes.data(), -256, y.data()));
}

// Half a step of each type: 8-bit mantissas for bf16, 127 levels for q8_0, a range of two largest values over 15 for
// q4_k plus the rounding of the 6-bit scales and minimums.
INSTANTIATE_TEST_SUITE_P(Types, Quant,
                         testing::Values(Case{DType::f32, 0}, Case{DType::f16, 5e-4}, Case{DType::bf16, 4e-3},
                                         Case{DType::q8_0, 0.005}, Case{DType::q4_0, 0.13}, Case{DType::q4_k, 0.11},
                                         Case{DType::q5_k, 0.07}, Case{DType::q6_k, 0.035}),
                         [](const auto& type) { return std::string(to_string(type.param.dtype)); });

TEST(Quant, KnownBlock) {
  // q4_0, d = 0.5: low nibbles give elements 0..15, high nibbles 16..31.
  std::byte block[18]{};
  std::uint16_t half = f32_to_f16(0.5f);
  std::memcpy(block, &half, 2);
  block[2] = std::byte{0xf1};
  float y[32];
  ASSERT_TRUE(dequantize_row(DType::q4_0, block, 32, y));
  EXPECT_EQ(y[0], -3.5f);
  EXPECT_EQ(y[16], 3.5f);
  EXPECT_EQ(y[1], -4.0f);
  EXPECT_FALSE(dequantize_row(DType::i8, block, 16, y));
}

}  // namespace
}  // namespace switchyard::kernels
