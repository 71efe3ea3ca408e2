// rows32, the layout GPU kernels read weights in, against the GGUF bytes it was made from.
#include "kernels/common/packing.h"

#include <gtest/gtest.h>

#include <random>

#include "kernels/builder.h"
#include "kernels/common/quant.h"

namespace switchyard::kernels {
namespace {

std::vector<std::byte> random_bytes(std::size_t n) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(n);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

std::vector<std::byte> packed(DType type, std::vector<std::int64_t> shape, const std::vector<std::byte>& source) {
  SegmentBuilder b;
  auto w = b.constant(type, std::move(shape), 1, source, nullptr);
  Segment s = b.take();
  Packing p = rows32(s, w);
  std::vector<std::byte> to(p.bytes, std::byte{0xee});
  std::span<const std::byte> data(source);
  auto status = p.pack({&data, 1}, to);
  EXPECT_TRUE(status) << status.error().message;
  return to;
}

TEST(Packing, WordsOfARow) {
  EXPECT_EQ(row_words(DType::f32, 7), 7u);
  EXPECT_EQ(row_words(DType::f16, 7), 4u);
  EXPECT_EQ(row_words(DType::bf16, 8), 4u);
  EXPECT_EQ(row_words(DType::q8_0, 96), 2u + 3 * 8);
  EXPECT_EQ(row_words(DType::q4_0, 64), 1u + 2 * 4);
  EXPECT_EQ(row_words(DType::q4_k, 512), 72u);
  EXPECT_EQ(row_words(DType::q5_k, 256), 44u);
  EXPECT_EQ(row_words(DType::q6_k, 512), 106u);
  EXPECT_EQ(row_words(DType::q4_k, 96), 0u);
  EXPECT_EQ(row_words(DType::i32, 4), 0u);
}

TEST(Packing, OddRowsOfHalvesArePadded) {
  auto source = random_bytes(2 * 3 * 2);
  auto to = packed(DType::f16, {2, 3}, source);
  ASSERT_EQ(to.size(), 16u);
  for (std::size_t r = 0; r < 2; ++r) {
    EXPECT_EQ(std::memcmp(&to[8 * r], &source[6 * r], 6), 0);
    EXPECT_EQ(to[8 * r + 6], std::byte{0});
    EXPECT_EQ(to[8 * r + 7], std::byte{0});
  }
}

// Every scale and every quant byte where the header says, for rows of any rank.
TEST(Packing, ScalesStandBeforeQuants) {
  for (auto [type, quants] : {std::pair{DType::q8_0, 32u}, std::pair{DType::q4_0, 16u}}) {
    const std::size_t rows = 6, blocks = 3, words = row_words(type, 96);
    auto source = random_bytes(rows * row_bytes(type, 96));
    auto to = packed(type, {2, 3, 96}, source);
    ASSERT_EQ(to.size(), rows * words * 4);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t b = 0; b < blocks; ++b) {
        const std::byte* block = &source[(r * blocks + b) * (2 + quants)];
        EXPECT_EQ(std::memcmp(&to[4 * r * words + 2 * b], block, 2), 0);
        EXPECT_EQ(std::memcmp(&to[4 * (r * words + 2) + quants * b], block + 2, quants), 0);
      }
  }
}

TEST(Packing, BlocksOf210BytesGetTwoZeros) {
  auto source = random_bytes(3 * 2 * 210);
  auto to = packed(DType::q6_k, {3, 512}, source);
  ASSERT_EQ(to.size(), 6u * 212);
  for (std::size_t b = 0; b < 6; ++b) {
    EXPECT_EQ(std::memcmp(&to[212 * b], &source[210 * b], 210), 0);
    EXPECT_EQ(to[212 * b + 210], std::byte{0});
    EXPECT_EQ(to[212 * b + 211], std::byte{0});
  }
}

TEST(Packing, WrongSizesAreRefused) {
  SegmentBuilder b;
  auto w = b.constant(DType::q8_0, {2, 32}, 1, {}, nullptr);
  Packing p = rows32(b.segment(), w);
  std::vector<std::byte> source(67), to(p.bytes);
  std::span<const std::byte> data(source);
  auto status = p.pack({&data, 1}, to);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::invalid_argument);
}

TEST(Packing, AConstantOfTwoNodesIsPackedOnce) {
  SegmentBuilder b;
  auto w = b.constant(DType::q8_0, {2, 32}, 1, {}, nullptr);
  Lowered lowered;
  ASSERT_TRUE(add_rows32(b.segment(), w, lowered));
  ASSERT_TRUE(add_rows32(b.segment(), w, lowered));
  ASSERT_TRUE(add_rows32(b.segment(), no_value, lowered));
  EXPECT_EQ(lowered.packings.size(), 1u);
}

}  // namespace
}  // namespace switchyard::kernels
