// Spellings and defaults that must be read, and names that mean the same tensor.
#include "models/granite_hybrid/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/formats/safetensors.h"
#include "models/granite_hybrid/assemble.h"
#include "tests/models/samples.h"

namespace switchyard::models {
namespace {

hal::Result<Config> read(const std::function<void(nlohmann::json&)>& change, const std::string& add = "") {
  SafetensorsSample s(true);
  change(s.config);
  std::string text = s.config.dump();
  return config_from_json(add.empty() ? text : "{" + add + "," + text.substr(1), "test");
}

TEST(Config, BothSpellingsOfLayers) {
  auto c = read([](auto& j) { j["layer_types"] = {"linear_attention", "full_attention"}; });
  ASSERT_TRUE(c) << describe(c.error());
  EXPECT_EQ(c->kinds, (std::vector{LayerKind::mamba, LayerKind::attention}));
}

TEST(Config, WithoutLayerTypesAllAreMamba) {
  for (bool null : {false, true}) {
    auto c = read([&](auto& j) { null ? void(j["layer_types"] = nullptr) : void(j.erase("layer_types")); });
    ASSERT_TRUE(c) << describe(c.error());
    EXPECT_EQ(c->count(LayerKind::mamba), 2);
    EXPECT_EQ(c->heads, 0);
    EXPECT_EQ(c->head_dim, 0);
  }
}

TEST(Config, WithoutMambaItsSizesAreZero) {
  auto c = read([](auto& j) {
    j["layer_types"] = {"attention", "attention"};
    j["mamba_n_heads"] = 7;  // unused fields may hold anything
  });
  ASSERT_TRUE(c) << describe(c.error());
  EXPECT_EQ(c->d_inner(), 0);
  EXPECT_EQ(c->conv_channels(), 0);
  EXPECT_FALSE(c->conv_bias);
}

TEST(Config, AutomaticAndExplicitHeadSizes) {
  auto c = read([](auto& j) { j["mamba_d_head"] = "auto"; });
  ASSERT_TRUE(c) << describe(c.error());
  EXPECT_EQ(c->ssm_head_dim, 16);
  EXPECT_EQ(c->conv_channels(), 96);
  EXPECT_EQ(c->in_proj_rows(), 164);
  EXPECT_EQ(c->head_dim, 16);
  c = read([](auto& j) { j["head_dim"] = 24; });
  ASSERT_TRUE(c);
  EXPECT_EQ(c->head_dim, 24);
}

TEST(Config, PythonsInfinity) {
  auto c = read([](auto&) {}, "\"time_step_limit\": [0.0, Infinity]");
  ASSERT_TRUE(c) << describe(c.error());
  EXPECT_EQ(c->dt_min, 0);
  EXPECT_TRUE(std::isinf(c->dt_max));
  c = read([](auto&) {}, "\"time_step_limit\": [0.001, 0.1]");
  ASSERT_TRUE(c);
  EXPECT_FLOAT_EQ(c->dt_min, 0.001f);
  EXPECT_FLOAT_EQ(c->dt_max, 0.1f);
  // The word inside a string is a word, an escaped quote does not end the string, and an unused NaN harms nobody.
  c = read([](auto& j) { j["note"] = "Infinity \\\" NaN -Infinity"; }, "\"unused\": [NaN, -Infinity]");
  EXPECT_TRUE(c) << describe(c.error());
}

TEST(Config, Rope) {
  auto rope = [](nlohmann::json& j) { j["position_embedding_type"] = "rope"; };
  EXPECT_FALSE(read([](auto& j) { j["position_embedding_type"] = nullptr; })->rope);
  EXPECT_FALSE(read([](auto& j) { j.erase("position_embedding_type"); })->rope);
  EXPECT_EQ(read(rope)->rope_theta, 10000);
  auto top = read([&](auto& j) { rope(j), j["rope_theta"] = 1e7; });
  EXPECT_TRUE(top->rope);
  EXPECT_EQ(top->rope_theta, 1e7);
  auto inner = read([&](auto& j) { rope(j), j["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}}; });
  ASSERT_TRUE(inner) << describe(inner.error());
  EXPECT_EQ(inner->rope_theta, 5e5);
  EXPECT_FALSE(inner->rope_interleaved);
}

TEST(Config, EndTokens) {
  EXPECT_EQ(read([](auto& j) { j["eos_token_id"] = {3, 5}; })->eos, (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(read([](auto& j) { j["eos_token_id"] = 3; })->eos, (std::vector<std::int64_t>{3}));
  EXPECT_TRUE(read([](auto& j) { j["eos_token_id"] = nullptr; })->eos.empty());
}

TEST(Config, MissingMultipliersAreOne) {
  auto c = read([](auto& j) {
    for (const char* key : {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"})
      j.erase(key);
  });
  ASSERT_TRUE(c);
  EXPECT_EQ(c->embedding_multiplier * c->residual_multiplier * c->attention_multiplier * c->logits_scaling, 1);
}

hal::Result<Config> read_gguf(const std::function<void(GgufSample&)>& change) {
  GgufSample g(true);
  change(g);
  Bytes file = g.build();
  HAL_TRY(Gguf gguf, parse_gguf(std::as_bytes(std::span(file)), nullptr, 0, "test"));
  return config_from_gguf(gguf, "test");
}

TEST(Config, GgufDefaults) {
  auto c = read_gguf([](auto& g) {
    for (const char* key : {"attention.scale", "embedding_scale"}) g.erase_key(key);
    g.set("residual_scale", 6, raw(0.0f));
    g.erase_key("finetuned");
    g.erase_key("vocab_size");
  });
  ASSERT_TRUE(c) << describe(c.error());
  EXPECT_FLOAT_EQ(c->attention_multiplier, 0.25f);  // 1 / sqrt(16)
  EXPECT_EQ(c->embedding_multiplier, 1);
  EXPECT_EQ(c->residual_multiplier, 1);
  EXPECT_TRUE(c->rope);  // absent means true
  EXPECT_TRUE(c->rope_interleaved);
  EXPECT_EQ(c->vocab, 40);
  EXPECT_EQ(c->experts_used, 2);
  EXPECT_TRUE(c->conv_bias);
}

TEST(Config, AnyIntegerTypeWillDo) {
  for (const auto& number : std::vector<std::pair<std::uint32_t, Bytes>>{{0, Bytes(1, 2)},
                                                                         {1, Bytes(1, 2)},
                                                                         {2, raw<std::uint16_t>(2)},
                                                                         {3, raw<std::int16_t>(2)},
                                                                         {4, raw<std::uint32_t>(2)},
                                                                         {5, raw<std::int32_t>(2)},
                                                                         {10, raw<std::uint64_t>(2)},
                                                                         {11, raw<std::int64_t>(2)}}) {
    auto c = read_gguf([&](auto& g) { g.set("block_count", number.first, number.second); });
    ASSERT_TRUE(c) << number.first << ": " << describe(c.error());
    EXPECT_EQ(c->layers, 2);
  }
}

TEST(Names, ResavedExpertsHaveOtherNames) {
  SafetensorsSample s(true);
  for (int i = 0; i < 2; ++i) {
    std::string moe = "model.layers." + std::to_string(i) + ".block_sparse_moe.";
    for (auto [from, to] :
         {std::pair{"router.layer.weight", "router.weight"}, std::pair{"input_linear.weight", "experts.gate_up_proj"},
          std::pair{"output_linear.weight", "experts.down_proj"}}) {
      s.header[moe + to] = s.header[moe + from];
      s.header.erase(moe + from);
    }
  }
  Bytes file = s.build();
  auto tensors = parse_safetensors(std::as_bytes(std::span(file)), nullptr, 0, "test");
  ASSERT_TRUE(tensors) << describe(tensors.error());
  auto model = assemble(s.config.dump(), tensors->tensors, "test");
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_TRUE(model->layers[1].router.present());
}

TEST(Names, QuantisersDropSizesOfOne) {
  GgufSample g(false);
  g.tensor("blk.0.ssm_a").dims = {4};
  g.tensor("blk.0.ssm_conv1d.weight").dims = {4, 1, 96};
  Bytes file = g.build();
  auto gguf = parse_gguf(std::as_bytes(std::span(file)), nullptr, 0, "test");
  ASSERT_TRUE(gguf) << describe(gguf.error());
  auto model = assemble(*gguf, "test");
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_EQ(model->layers[0].conv_weight.shape, (std::vector<std::int64_t>{96, 4}));
}

TEST(Names, FusedExpertsAndSeparateHead) {
  GgufSample g(true);
  for (int i = 0; i < 2; ++i) {
    std::string b = "blk." + std::to_string(i) + ".";
    auto& gate = g.tensor(b + "ffn_gate_exps.weight");
    gate.name = b + "ffn_gate_up_exps.weight";
    gate.dims[1] *= 2;
    gate.data += gate.data;
    g.erase_tensor(b + "ffn_up_exps.weight");
  }
  auto head = g.tensor("token_embd.weight");
  head.name = "output.weight";
  g.tensors.push_back(head);
  g.place();
  Bytes file = g.build();
  auto gguf = parse_gguf(std::as_bytes(std::span(file)), nullptr, 0, "test");
  ASSERT_TRUE(gguf) << describe(gguf.error());
  auto model = assemble(*gguf, "test");
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_EQ(model->layers[0].experts_gate_up.shape, (std::vector<std::int64_t>{4, 48, 32}));
  EXPECT_FALSE(model->layers[0].experts_gate.present());
  EXPECT_FALSE(model->config.tied);
  EXPECT_NE(model->head.key, model->embedding.key);
}

}  // namespace
}  // namespace switchyard::models
