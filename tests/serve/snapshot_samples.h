// Snapshots for tests: a small one that a committed file holds, and large ones.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "scheduler/serve/durable_file.h"
#include "scheduler/serve/snapshot.h"

namespace switchyard::test {

inline std::vector<std::byte> noise(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() >> 56);
  return bytes;
}

// Layers 0 and 2 are recurrent, layer 1 holds 5 tokens of 16 bytes each.
inline scheduler::Snapshot small_snapshot() {
  return {{0x0123456789abcdefull,
           hal::DType::f16,
           {0, 49151, 7, 7, 100},
           {{0, {noise(96, 1), noise(256, 2), {}, {}}},
            {1, {{}, {}, noise(80, 3), noise(80, 4)}},
            {2, {noise(96, 5), noise(256, 6), {}, {}}}}},
          "granite-small",
          R"({"temperature":0.7,"seed":5})"};
}
inline scheduler::SnapshotExpectation small_expectation() {
  return {0x0123456789abcdefull, "granite-small",
          hal::DType::f16,       {{0, {96, 256, 0}}, {1, {0, 0, 16}}, {2, {96, 256, 0}}},
          /*vocab=*/49152,       /*context=*/5};
}

// One attention layer with `bytes` in all, of which nothing is zero for long.
inline scheduler::Snapshot large_snapshot(std::size_t bytes, std::uint64_t seed) {
  const std::size_t half = bytes / 2;
  std::mt19937_64 random(seed);
  scheduler::Snapshot s{{1, hal::DType::f16, {1, 2, 3}, {}}, "large", "{}"};
  scheduler::LayerState& l = s.state.layers[0];
  for (auto* part : {&l.k, &l.v}) {
    part->resize(half);
    for (std::size_t i = 0; i + 8 <= half; i += 8) {
      const std::uint64_t word = random();
      std::memcpy(part->data() + i, &word, 8);
    }
  }
  return s;
}

inline void expect_equal(const scheduler::Snapshot& a, const scheduler::Snapshot& b) {
  EXPECT_EQ(a.model_name, b.model_name);
  EXPECT_EQ(a.extra, b.extra);
  EXPECT_EQ(a.state.model_hash, b.state.model_hash);
  EXPECT_EQ(a.state.kv, b.state.kv);
  EXPECT_EQ(a.state.log, b.state.log);
  ASSERT_EQ(a.state.layers.size(), b.state.layers.size());
  for (auto x = a.state.layers.begin(), y = b.state.layers.begin(); x != a.state.layers.end(); ++x, ++y) {
    EXPECT_EQ(x->first, y->first);
    EXPECT_TRUE(x->second.conv_window == y->second.conv_window) << x->first;
    EXPECT_TRUE(x->second.ssm_state == y->second.ssm_state) << x->first;
    EXPECT_TRUE(x->second.k == y->second.k) << x->first;
    EXPECT_TRUE(x->second.v == y->second.v) << x->first;
  }
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

template <class T>
T number_at(const std::vector<std::byte>& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}
template <class T>
void put_at(std::vector<std::byte>& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}
// Makes the head's checksum right again.
inline std::vector<std::byte> resealed(std::vector<std::byte> bytes) {
  const std::size_t head = number_at<std::uint32_t>(bytes, 12);
  put_at(bytes, head - 8, scheduler::checksum(std::span(bytes).first(head - 8), 0));
  return bytes;
}

}  // namespace switchyard::test
