#include "models/shapes/shapes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <map>
#include <set>

#include "kernels/common/quant.h"
#include "models/quant/fill.h"

namespace switchyard::models {
namespace {

using hal::DType;

double parameters(const Model& model) {
  double n = 0;
  auto add = [&](const Weight& w) {
    double size = w.present() ? 1 : 0;
    for (auto s : w.shape) size *= static_cast<double>(s);
    n += size;
  };
  add(model.embedding);
  add(model.final_norm);
  for (const LayerWeights& w : model.layers)
    for (auto f : {&LayerWeights::input_norm,  &LayerWeights::post_norm,
                   &LayerWeights::in_proj,     &LayerWeights::conv_weight,
                   &LayerWeights::conv_bias,   &LayerWeights::dt_bias,
                   &LayerWeights::a,           &LayerWeights::d,
                   &LayerWeights::ssm_norm,    &LayerWeights::out_proj,
                   &LayerWeights::q,           &LayerWeights::k,
                   &LayerWeights::v,           &LayerWeights::o,
                   &LayerWeights::router,      &LayerWeights::experts_gate,
                   &LayerWeights::experts_up,  &LayerWeights::experts_down,
                   &LayerWeights::shared_gate, &LayerWeights::shared_up,
                   &LayerWeights::shared_down})
      add(w.*f);
  return n;
}

// The published counts, in millions; "about" where only a rounded one is known.
TEST(Shapes, HaveThePublishedParameterCounts) {
  const std::map<std::string, std::pair<double, double>> published = {
      {"granite-4.0-350m", {350, 5}},    {"granite-4.0-1b", {1600, 50}},     {"granite-4.0-micro", {3400, 20}},
      {"granite-4.0-h-350m", {340, 1}},  {"granite-4.0-h-1b", {1462, 1}},    {"granite-4.0-h-micro", {3191, 1}},
      {"granite-4.0-h-tiny", {6939, 1}}, {"granite-4.0-h-small", {32207, 2}}};
  LoadOptions options;
  options.no_data = true;
  EXPECT_EQ(shape_names().size(), published.size());
  for (const std::string& name : shape_names()) {
    auto model = load_shape(name, options);
    ASSERT_TRUE(model) << describe(model.error());
    auto [millions, within] = published.at(name);
    EXPECT_NEAR(parameters(*model) / 1e6, millions, within) << name;
    EXPECT_TRUE(model->embedding.data.empty());
    EXPECT_TRUE(model->seeded);
    EXPECT_GT(model->file_bytes, 0u);
  }
}

TEST(Shapes, ShortNamesAndUnknownOnes) {
  EXPECT_TRUE(find_shape("h-tiny"));
  EXPECT_TRUE(find_shape("granite-4.0-h-tiny"));
  EXPECT_FALSE(find_shape("granite-4.0-"));
  auto unknown = load("h-huge");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, hal::Code::not_found);
  EXPECT_NE(unknown.error().message.find("granite-4.0-h-small"), std::string::npos);
  LoadOptions options;
  options.weights = DType::i8;
  auto wrong = load("h-350m", options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, hal::Code::invalid_argument);
}

class Seeded : public testing::TestWithParam<DType> {};

TEST_P(Seeded, EveryMatrixIsFiniteAndOfTheRightSize) {
  LoadOptions options;
  options.weights = GetParam();
  auto model = load("h-350m", options);
  ASSERT_TRUE(model) << describe(model.error());
  EXPECT_EQ(model->head.key, model->embedding.key);
  EXPECT_EQ(model->layers[0].in_proj.dtype, GetParam());
  std::set<std::uint64_t> keys;
  for (std::size_t layer : {0u, 10u, 31u}) {  // Mamba, attention, Mamba
    const LayerWeights& w = model->layers[layer];
    for (const Weight* m : {&w.in_proj, &w.out_proj, &w.q, &w.o, &w.shared_gate, &w.shared_down}) {
      if (!m->present()) continue;
      EXPECT_TRUE(keys.insert(m->key).second);
      std::int64_t n = m->shape[0] * m->shape[1];
      ASSERT_EQ(m->data.size(), hal::row_bytes(m->dtype, n));
      std::vector<float> values(static_cast<std::size_t>(n));
      ASSERT_TRUE(kernels::dequantize_row(m->dtype, m->data.data(), n, values.data()));
      double sum = 0, squares = 0;
      for (float v : values) {
        sum += static_cast<double>(v);
        squares += static_cast<double>(v) * static_cast<double>(v);
      }
      // A NaN fails both.
      EXPECT_NEAR(sum / static_cast<double>(n), 0, 1e-3);
      EXPECT_NEAR(std::sqrt(squares / static_cast<double>(n)), 0.02, 1e-3);
    }
    if (!w.a.present()) continue;
    for (std::size_t h = 0; h < 48; ++h) {
      float a, dt;
      std::memcpy(&a, w.a.data.data() + 4 * h, 4);
      std::memcpy(&dt, w.dt_bias.data.data() + 4 * h, 4);
      EXPECT_TRUE(a >= -16 && a <= -1) << a;
      EXPECT_TRUE(dt >= -4 && dt <= -1) << dt;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Types, Seeded,
                         testing::Values(DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_k, DType::q5_k,
                                         DType::q6_k),
                         [](const auto& type) { return std::string(to_string(type.param)); });

TEST(SeededModel, SameSeedSameBytes) {
  LoadOptions options;
  auto a = load("h-350m", options), b = load("h-350m", options);
  options.seed = 1;
  auto c = load("h-350m", options);
  ASSERT_TRUE(a && b && c);
  EXPECT_TRUE(std::ranges::equal(a->layers[3].in_proj.data, b->layers[3].in_proj.data));
  EXPECT_FALSE(std::ranges::equal(a->layers[3].in_proj.data, c->layers[3].in_proj.data));
  EXPECT_FALSE(std::ranges::equal(a->layers[3].in_proj.data, a->layers[4].in_proj.data));
  EXPECT_EQ(a->content_hash, b->content_hash);
  EXPECT_NE(a->content_hash, c->content_hash);
  EXPECT_NE(a->embedding.key, c->embedding.key);
  EXPECT_EQ(a->embedding.dtype, DType::q6_k);  // as converters do for a tied head
}

TEST(SeededModel, MoreThanTheMachineHasIsRefused) {
  LoadOptions options;
  options.weights = DType::f32;
  options.no_data = true;
  auto sizes = load("h-small", options);
  ASSERT_TRUE(sizes);
  ASSERT_GT(available_memory(), 0u);
  if (sizes->file_bytes <= available_memory()) GTEST_SKIP() << "this machine has memory for 129 GB";
  options.no_data = false;
  auto model = load("h-small", options);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, hal::Code::out_of_memory);
  EXPECT_NE(model.error().message.find("takes 12"), std::string::npos) << model.error().message;
}

// Time of this process: the filling threads count together, and what else runs on the machine does not.
TEST(SeededModel, NeedsLittleTime) {
  std::clock_t begin = std::clock();
  auto model = load("h-350m");
  ASSERT_TRUE(model);
  EXPECT_LT(std::clock() - begin, 3 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace switchyard::models
