// Sampling as text.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "scheduler/serve/sampling.h"

namespace switchyard::scheduler {
namespace {

TEST(SamplingJson, GoesThere) {
  const Sampling s{
      .temperature = 0.5, .top_k = 40, .seed = 7, .bias = {{3, 0.25f}, {9, -std::numeric_limits<float>::infinity()}}};
  EXPECT_EQ(to_json(s),
            R"({"bias":[[3,0.25],[9,"-inf"]],"min_p":0.0,"repetition_penalty":1.0,"repetition_window":64,"seed":7,)"
            R"("temperature":0.5,"top_k":40,"top_p":1.0})");
}

TEST(SamplingJson, AndBack) {
  constexpr unsigned seed = 5;
  std::mt19937_64 random(seed);
  const auto real = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
  for (int trial = 0; trial < 200; ++trial) {
    Sampling s{.temperature = real() * 3,
               .top_k = static_cast<std::int64_t>(random() >> 1),
               .top_p = 1 - real(),
               .min_p = real(),
               .repetition_penalty = 2 - real(),
               .repetition_window = static_cast<std::int64_t>(random() >> 1),
               .seed = random()};
    for (auto n = random() % 4; n > 0; --n)
      s.bias.emplace_back(static_cast<std::int32_t>(random() >> 33), static_cast<float>((real() - 0.5) * 6e38));
    const auto back = sampling_from_json(to_json(s));
    ASSERT_TRUE(back) << "seed " << seed << ", trial " << trial << ": " << describe(back.error());
    EXPECT_EQ(*back, s) << "seed " << seed << ", trial " << trial << ": " << to_json(s);
  }
  const auto defaults = sampling_from_json("{}");
  ASSERT_TRUE(defaults);
  EXPECT_EQ(*defaults, Sampling{});
}

TEST(SamplingJson, WhatIsNotOneIsNamed) {
  const struct {
    const char *text, *named;
  } rows[] = {
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {R"({"top_k": 1)", "not a JSON object"},
      {R"({"topk": 1})", R"(unknown field "topk")"},
      {R"({"top_k": 1, "zoo": null})", R"(unknown field "zoo")"},
      {R"({"top_k": 1.5})", "top_k: expected an integer of 64 bits, found 1.5"},
      {R"({"top_k": 9223372036854775808})", "top_k: expected an integer of 64 bits, found 9223372036854775808"},
      {R"({"top_k": true})", "top_k: expected an integer of 64 bits, found true"},
      {R"({"seed": -1})", "seed: expected an integer of 0 to 2^64 - 1, found -1"},
      {R"({"temperature": "1"})", R"(temperature: expected a number, found "1")"},
      {R"({"temperature": null})", "temperature: expected a number, found null"},
      {R"({"temperature": -1})", "temperature is -1.000000, expected 0 (greedy) or more"},
      {R"({"bias": {}})", "bias: expected a list of pairs, found {}"},
      {R"({"bias": [[1]]})", "bias: expected a pair of token and number, found [1]"},
      {R"({"bias": [[-1, 0]]})", "bias: expected a token, found -1"},
      {R"({"bias": [[4294967296, 0]]})", "bias: expected a token, found 4294967296"},
      {R"({"bias": [[1, "inf"]]})", R"(bias: expected a number of 32 bits or "-inf", found "inf")"},
      {R"({"bias": [[1, 1e300]]})", R"(bias: expected a number of 32 bits or "-inf", found 1e+300)"},
  };
  for (const auto& row : rows) {
    const auto refused = sampling_from_json(row.text);
    ASSERT_FALSE(refused) << row.text;
    EXPECT_EQ(refused.error().code, hal::Code::io);
    EXPECT_EQ(refused.error().message, std::string("sampling: ") + row.named);
  }
}

}  // namespace
}  // namespace switchyard::scheduler
