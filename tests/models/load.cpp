// Opens everything the reference data has, and compares what lies in two formats.
#include <cmath>
#include <cstring>

#include "kernels/common/quant.h"
#include "models/formats/gguf.h"
#include "models/formats/json.h"
#include "models/formats/safetensors.h"
#include "models/granite_hybrid/weights.h"
#include "tests/models/oracle.h"

namespace switchyard::models {
namespace {

using hal::DType;

template <class T>
const T* as(const FileTensor& tensor) {
  return reinterpret_cast<const T*>(tensor.data.data());
}

std::vector<float> values(const Weight& w) {
  std::int64_t n = 1;
  for (std::int64_t size : w.shape) n *= size;
  std::vector<float> out(static_cast<std::size_t>(n));
  EXPECT_EQ(w.data.size(), hal::row_bytes(w.dtype, n));
  EXPECT_TRUE(kernels::dequantize_row(w.dtype, w.data.data(), n, out.data()));
  return out;
}

void expect_whole(const Model& model) {
  const Config& c = model.config;
  ASSERT_EQ(model.layers.size(), static_cast<std::size_t>(c.layers));
  EXPECT_EQ(model.embedding.shape, (std::vector<std::int64_t>{c.vocab, c.hidden}));
  EXPECT_EQ(model.head.shape, model.embedding.shape);
  EXPECT_EQ(model.head.key == model.embedding.key, c.tied);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const LayerWeights& w = model.layers[i];
    bool mamba = c.kinds[i] == LayerKind::mamba;
    EXPECT_EQ(w.in_proj.present(), mamba);
    EXPECT_EQ(w.q.present(), !mamba);
    EXPECT_EQ(w.router.present(), c.experts > 0);
    EXPECT_EQ(w.experts_gate.present() || w.experts_gate_up.present(), c.experts > 0);
    EXPECT_NE(w.experts_gate.present() && w.experts_gate_up.present(), true);
    EXPECT_EQ(w.shared_gate.present(), c.shared_width > 0);
    EXPECT_NE(w.shared_gate.key, w.shared_up.key);
    if (!mamba) continue;
    EXPECT_EQ(w.conv_weight.shape, (std::vector<std::int64_t>{c.conv_channels(), c.conv_kernel}));
    for (float a : values(w.a)) EXPECT_LT(a, 0);
  }
}

TEST(Oracle, EveryModelFolderLoads) {
  for (const std::string& path : oracle_paths("models", "", 10)) {
    auto model = load(path);
    ASSERT_TRUE(model) << describe(model.error());
    expect_whole(*model);
    EXPECT_FALSE(model->config.rope_interleaved);
    EXPECT_EQ(model->config.rope, path.find("transformer") != std::string::npos);
    EXPECT_EQ(model->embedding.dtype, path.ends_with("bf16") ? DType::bf16 : DType::f32);
  }
}

TEST(Oracle, EveryGgufLoads) {
  for (const std::string& path : oracle_paths("gguf", ".gguf", 20)) {
    auto model = load(path);
    ASSERT_TRUE(model) << describe(model.error());
    expect_whole(*model);
    EXPECT_EQ(model->config.rope, path.find("transformer") != std::string::npos);
  }
}

TEST(Oracle, EveryGoldenAndOpOpens) {
  for (const char* folder : {"goldens", "ops"}) {
    for (const std::string& path : oracle_paths(folder, ".safetensors", 30)) {
      auto file = open_safetensors(path);
      ASSERT_TRUE(file) << describe(file.error());
      EXPECT_FALSE(file->tensors.empty()) << path;
      auto info = file->metadata.find("info");
      ASSERT_NE(info, file->metadata.end()) << path;
      EXPECT_TRUE(parse_json(info->second, path));
    }
  }
}

TEST(Oracle, DequantisationIsExact) {
  for (const std::string& path : oracle_paths("ops", ".safetensors", 30)) {
    auto name = std::filesystem::path(path).stem().string();
    if (!name.starts_with("dequant-")) continue;
    auto file = open_safetensors(path);
    ASSERT_TRUE(file) << describe(file.error());
    const FileTensor& bytes = file->tensors.at("bytes");
    FileTensor y = aligned(file->tensors.at("y"));
    int found = 0;
    for (DType dtype :
         {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k, DType::q6_k}) {
      if (name != std::string("dequant-") + to_string(dtype)) continue;
      ++found;
      auto n = static_cast<std::int64_t>(y.data.size() / 4);
      ASSERT_EQ(bytes.data.size(), hal::row_bytes(dtype, n));
      std::vector<float> single(static_cast<std::size_t>(n));
      std::vector<double> exact(single.size());
      ASSERT_TRUE(kernels::dequantize_row(dtype, bytes.data.data(), n, single.data()));
      ASSERT_TRUE(kernels::dequantize_row(dtype, bytes.data.data(), n, exact.data()));
      for (std::size_t i = 0; i < single.size(); ++i) {
        double expected = as<float>(y)[i];
        EXPECT_NEAR(single[i], expected, 1e-6 * std::max(1.0, std::fabs(expected))) << name << " element " << i;
        EXPECT_NEAR(exact[i], expected, 1e-6 * std::max(1.0, std::fabs(expected))) << name << " element " << i;
      }
    }
    EXPECT_EQ(found, 1) << name;
  }
}

// The rows of q and k, as a converter orders them, back in the order of the checkpoint.
std::vector<float> unpermuted(const std::vector<float>& rows, std::int64_t head_dim, std::int64_t hidden) {
  std::vector<float> out(rows.size());
  for (std::size_t row = 0; row < rows.size() / static_cast<std::size_t>(hidden); ++row) {
    std::int64_t head = static_cast<std::int64_t>(row) / head_dim, r = static_cast<std::int64_t>(row) % head_dim;
    std::int64_t to = head * head_dim + (r % 2 ? r / 2 + head_dim / 2 : r / 2);
    std::copy_n(rows.begin() + static_cast<std::int64_t>(row) * hidden, hidden, out.begin() + to * hidden);
  }
  return out;
}

void expect_close(const std::vector<float>& a, const std::vector<float>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], 1e-6 * std::max(1.0f, std::fabs(b[i]))) << what << " " << i;
}

// Part `half` of two of each expert's rows.
std::vector<float> expert_half(const Weight& both, std::size_t half) {
  std::vector<float> all = values(both), out;
  std::size_t experts = static_cast<std::size_t>(both.shape[0]), part = all.size() / experts / 2;
  for (std::size_t e = 0; e < experts; ++e) {
    auto begin = all.begin() + static_cast<std::ptrdiff_t>((2 * e + half) * part);
    out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(part));
  }
  return out;
}

TEST(Oracle, BothFormatsGiveTheSameModel) {
  int compared = 0;
  for (const std::string& path : oracle_paths("gguf", "-f32.gguf", 3)) {
    auto stem = std::filesystem::path(path).stem().string();
    auto gguf = load(path), folder = load((oracle() / "models" / stem).string());
    ASSERT_TRUE(gguf) << describe(gguf.error());
    ASSERT_TRUE(folder) << describe(folder.error());
    const Config &a = gguf->config, &b = folder->config;
    EXPECT_EQ(a.kinds, b.kinds);
    for (auto field : {&Config::vocab, &Config::hidden, &Config::heads, &Config::kv_heads, &Config::head_dim,
                       &Config::ssm_heads, &Config::ssm_head_dim, &Config::groups, &Config::state, &Config::conv_kernel,
                       &Config::experts, &Config::experts_used, &Config::expert_width, &Config::shared_width})
      EXPECT_EQ(a.*field, b.*field) << stem;
    for (auto field : {&Config::embedding_multiplier, &Config::residual_multiplier, &Config::attention_multiplier,
                       &Config::logits_scaling, &Config::eps})
      EXPECT_FLOAT_EQ(a.*field, b.*field) << stem;
    EXPECT_EQ(a.rope_theta, b.rope_theta);
    expect_close(values(gguf->embedding), values(folder->embedding), stem);
    expect_close(values(gguf->final_norm), values(folder->final_norm), stem);
    for (std::size_t i = 0; i < gguf->layers.size(); ++i) {
      LayerWeights &g = gguf->layers[i], &f = folder->layers[i];
      for (auto field : {&LayerWeights::input_norm, &LayerWeights::post_norm, &LayerWeights::in_proj,
                         &LayerWeights::conv_weight, &LayerWeights::conv_bias, &LayerWeights::dt_bias, &LayerWeights::a,
                         &LayerWeights::d, &LayerWeights::ssm_norm, &LayerWeights::out_proj, &LayerWeights::v,
                         &LayerWeights::o, &LayerWeights::router, &LayerWeights::experts_down,
                         &LayerWeights::shared_gate, &LayerWeights::shared_up, &LayerWeights::shared_down}) {
        ASSERT_EQ((g.*field).present(), (f.*field).present());
        if ((g.*field).present())
          expect_close(values(g.*field), values(f.*field), stem + " layer " + std::to_string(i));
      }
      if (g.q.present()) {
        expect_close(unpermuted(values(g.q), a.head_dim, a.hidden), values(f.q), stem + " q");
        expect_close(unpermuted(values(g.k), a.head_dim, a.hidden), values(f.k), stem + " k");
      }
      if (g.experts_gate.present()) {
        expect_close(values(g.experts_gate), expert_half(f.experts_gate_up, 0), stem + " gate");
        expect_close(values(g.experts_up), expert_half(f.experts_gate_up, 1), stem + " up");
      }
    }
    ++compared;
  }
  EXPECT_GE(compared, 3);
}

TEST(Load, MatricesLieInTheMapAndKeysAreStable) {
  std::string path = (oracle() / "models" / "dense-hybrid-bf16").string();
  auto a = load(path), b = load(path);
  ASSERT_TRUE(a) << describe(a.error());
  ASSERT_TRUE(b);
  EXPECT_EQ(a->content_hash, b->content_hash);
  EXPECT_EQ(a->embedding.key, b->embedding.key);
  EXPECT_EQ(a->layers[0].in_proj.key, b->layers[0].in_proj.key);
  EXPECT_NE(a->layers[0].in_proj.key, a->layers[1].in_proj.key);
  // The two halves of one tensor, row by row in the same map.
  const LayerWeights& w = a->layers[0];
  EXPECT_EQ(w.shared_gate.owner, w.shared_up.owner);
  EXPECT_EQ(w.shared_gate.data.data() + w.shared_gate.data.size(), w.shared_up.data.data());
  auto other = load((oracle() / "models" / "dense-hybrid-f32").string());
  ASSERT_TRUE(other);
  EXPECT_NE(a->content_hash, other->content_hash);
  EXPECT_NE(a->embedding.key, other->embedding.key);
}

TEST(Load, AShardNamesItsWholeModel) {
  std::string folder = (oracle() / "models" / "moe-hybrid-g2-f32").string();
  auto whole = load(folder), shard = load(folder + "/model-00002-of-00002.safetensors");
  ASSERT_TRUE(whole) << describe(whole.error());
  ASSERT_TRUE(shard) << describe(shard.error());
  EXPECT_EQ(whole->content_hash, shard->content_hash);
}

}  // namespace
}  // namespace switchyard::models
