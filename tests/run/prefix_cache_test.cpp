// Kept beginnings: the longest is found, what comes of it is what comes of running it all, and memory is given back.
#include "scheduler/run/prefix_cache.h"

#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::Executor;
using scheduler::ExecutorOptions;
using scheduler::PrefixCache;
using scheduler::Sequence;
using scheduler::StateUse;
using scheduler::WantLogits;

struct Prefixes : testing::Test {
  std::unique_ptr<Executor> executor;
  std::vector<std::int32_t> prompt;

  void SetUp() override {
    auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
    ASSERT_TRUE(model) << hal::describe(model.error());
    ExecutorOptions options;
    options.context = 512;
    options.page_size = 16;
    options.checkpoints = 1;
    std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(*model)),
                                        test::open_device("cpu:0"));
    executor = std::move(Executor::open(std::move(*model), devices, options)).value();
    prompt = test::golden("moe-hybrid-f32").tokens(64);
  }
  std::vector<float> feed(Sequence& s, std::span<const std::int32_t> tokens) {
    auto fed = executor->feed(s, tokens, WantLogits::last);
    if (!fed) throw std::runtime_error(hal::describe(fed.error()));
    return std::move(*fed);
  }
  std::unique_ptr<Sequence> fed(std::size_t n) {
    auto s = std::move(executor->create_sequence()).value();
    feed(*s, std::span(prompt).first(n));
    return s;
  }
};

TEST_F(Prefixes, TheLongestIsUsedAgain) {
  PrefixCache cache(*executor, 8);
  for (std::size_t n : {10, 40, 30}) {
    auto s = fed(n);
    ASSERT_TRUE(cache.keep(*s));
  }
  auto s = std::move(cache.reuse(prompt)).value();
  EXPECT_EQ(s->log(), std::vector<std::int32_t>(prompt.begin(), prompt.begin() + 40));
  auto alone = fed(40);
  const auto rest = std::span(prompt).subspan(40);
  EXPECT_EQ(feed(*s, rest), feed(*alone, rest));
  // All of a kept log would leave nothing to run.
  EXPECT_EQ(std::move(cache.reuse(std::span(prompt).first(40))).value()->log().size(), 30u);
  auto other = prompt;
  other[5] ^= 1;
  EXPECT_EQ(std::move(cache.reuse(other)).value()->log().size(), 0u);
  EXPECT_EQ(std::move(cache.reuse({})).value()->log().size(), 0u);
  EXPECT_EQ(cache.counters().hits, 2);
  EXPECT_EQ(cache.counters().misses, 2);
  EXPECT_EQ(cache.counters().tokens, 70);
}

TEST_F(Prefixes, ACheckpointInAKeptOneCounts) {
  PrefixCache cache(*executor, 8);
  auto s = fed(20);
  ASSERT_TRUE(executor->checkpoint(*s));
  feed(*s, std::span(prompt).subspan(20, 30));
  ASSERT_TRUE(cache.keep(*s));
  s.reset();
  auto other = prompt;
  other[35] ^= 1;
  auto made = std::move(cache.reuse(other)).value();
  EXPECT_EQ(made->log().size(), 20u);
  auto alone = fed(20);
  const auto rest = std::span(other).subspan(20);
  EXPECT_EQ(feed(*made, rest), feed(*alone, rest));
}

TEST_F(Prefixes, WhatWasNotUsedLongestGoes) {
  const StateUse nothing = executor->state_use();
  {
    PrefixCache cache(*executor, 2);
    for (std::size_t n : {10, 20}) ASSERT_TRUE(cache.keep(*fed(n)));
    ASSERT_TRUE(cache.keep(*fed(20)));
    EXPECT_EQ(cache.size(), 2u) << "the same again";
    EXPECT_EQ(std::move(cache.reuse(std::span(prompt).first(15))).value()->log().size(), 10u);
    ASSERT_TRUE(cache.keep(*fed(30)));  // 20 goes
    EXPECT_EQ(cache.counters().dropped, 1);
    EXPECT_EQ(std::move(cache.reuse(std::span(prompt).first(25))).value()->log().size(), 10u);

    auto living = std::move(cache.reuse(prompt)).value();  // shares all of 30
    ASSERT_EQ(living->log().size(), 30u);
    const StateUse use = executor->state_use();
    EXPECT_EQ(use.slots, 2);
    EXPECT_EQ(use.pages, 1 + 2);
    const hal::Bytes freed = cache.release(1);
    EXPECT_GT(freed, 0u);
    EXPECT_EQ(freed, use.bytes - executor->state_use().bytes);
    EXPECT_EQ(cache.size(), 1u) << "10 went, 30 was used last";
    EXPECT_EQ(executor->state_use().slots, 1);
    EXPECT_EQ(cache.release(1), 0u) << "a living sequence has it";
    EXPECT_EQ(cache.size(), 0u);
  }
  EXPECT_EQ(executor->state_use(), nothing);
}

}  // namespace
}  // namespace switchyard
