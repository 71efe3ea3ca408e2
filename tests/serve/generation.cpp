#include "scheduler/serve/generation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace switchyard::scheduler {
namespace {

using Tokens = std::vector<std::int32_t>;

void expect(const Tokens& generated, const Generation& generation, End end, std::int64_t tokens) {
  const Shown is = shown(generated, generation);
  EXPECT_STREQ(to_string(is.end), to_string(end));
  EXPECT_EQ(is.tokens, tokens);
}

TEST(Generation, EndsAndHoldsBack) {
  const Generation g{.max_tokens = 6, .stop = {0}, .stop_sequences = {{1, 2, 3}, {2, 4}, {5, 1, 2, 4}}};
  expect({}, g, End::none, 0);
  expect({7}, g, End::none, 1);
  expect({7, 0}, g, End::stop, 1);
  expect({7, 1}, g, End::none, 1);
  expect({7, 1, 2}, g, End::none, 1);
  expect({7, 1, 2, 7}, g, End::none, 4);
  expect({7, 1, 2, 3}, g, End::stop_sequence, 1);
  expect({7, 1, 2, 4}, g, End::stop_sequence, 2);
  expect({5, 1, 2, 4}, g, End::stop_sequence, 0);
  expect({1, 2, 2}, g, End::none, 2);
  expect({7, 7, 7, 7, 1, 2}, g, End::max_tokens, 6);
  expect({7, 7, 7, 7, 2, 4}, g, End::stop_sequence, 4);
  expect({7, 7, 7, 7, 7, 0}, g, End::stop, 5);
}

// What is shown is never taken back, is all of what comes before the end, and is held back only while a sequence may
// still come of it.
TEST(Generation, RandomStreams) {
  constexpr unsigned seed = 40;
  std::mt19937 random(seed);
  for (int trial = 0; trial < 3000; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", trial " + std::to_string(trial));
    Generation g{.max_tokens = 1 + static_cast<std::int64_t>(random() % 40)};
    if (random() % 2) g.stop.push_back(3);
    for (auto n = random() % 4; n > 0; --n) {
      Tokens sequence(1 + random() % 5);
      for (auto& token : sequence) token = static_cast<std::int32_t>(random() % 3);
      g.stop_sequences.push_back(sequence);
    }
    ASSERT_TRUE(check(g, 4));
    Tokens generated;
    Shown last;
    while (last.end == End::none) {
      generated.push_back(static_cast<std::int32_t>(random() % 20 ? random() % 3 : 3));
      const Shown now = shown(generated, g);
      ASSERT_GE(now.tokens, last.tokens);
      last = now;
      // By the definition: the earliest start of a sequence, whole or begun, at the end of what there is.
      const auto size = static_cast<std::int64_t>(generated.size());
      std::int64_t whole = size, begun = size;
      for (const Tokens& sequence : g.stop_sequences)
        for (std::int64_t start = 0; start < size; ++start) {
          const Tokens tail(generated.begin() + start, generated.end());
          if (tail.size() > sequence.size() || !std::equal(tail.begin(), tail.end(), sequence.begin())) continue;
          (tail.size() == sequence.size() ? whole : begun) =
              std::min(tail.size() == sequence.size() ? whole : begun, start);
        }
      const bool stop = !g.stop.empty() && generated.back() == 3;
      const End end = stop                   ? End::stop
                      : whole < size         ? End::stop_sequence
                      : size == g.max_tokens ? End::max_tokens
                                             : End::none;
      ASSERT_EQ(now.end, end);
      ASSERT_EQ(now.tokens, stop ? size - 1 : whole < size ? whole : size == g.max_tokens ? size : begun);
    }
  }
}

TEST(Generation, ValuesOutOfRangeAreNamed) {
  const auto why = [](const Generation& g) {
    const auto refused = check(g, 9);
    return refused ? "nothing" : refused.error().message;
  };
  Generation g;
  EXPECT_EQ(why(g), "nothing");
  g.max_tokens = -1;
  EXPECT_EQ(why(g), "generation: max_tokens is -1, expected 0 or more");
  g.max_tokens = 1;
  g.stop = {8, 9};
  EXPECT_EQ(why(g), "generation: stop has token 9, the vocabulary has 9");
  g.stop = {-1};
  EXPECT_EQ(why(g), "generation: stop has token -1, the vocabulary has 9");
  g.stop = {};
  g.stop_sequences = {{1}, {}};
  EXPECT_EQ(why(g), "generation: stop_sequences[1] is empty");
  g.stop_sequences = {{1}, {2, 77}};
  EXPECT_EQ(why(g), "generation: stop_sequences has token 77, the vocabulary has 9");
}

}  // namespace
}  // namespace switchyard::scheduler
