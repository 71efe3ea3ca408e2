#include "models/shapes/shapes.h"

#include <algorithm>
#include <iterator>

#include "models/formats/text.h"

namespace switchyard::models {
namespace {

// One line per published model. All: vocabulary 100352, eps 1e-5, embedding multiplier 12, attention multiplier
// 1 / head_dim, state 128, one group, kernel 4 with bias, tied head. 350m and 1b were not
// checked against a published config: their sizes give the published parameter counts (352 M, 1.63 B), and their
// residual and logits numbers follow the rule of the others (hidden / 256), which changes neither speed nor memory.
struct Shape {
  const char* name;
  int hidden, layers;
  const char* attention;  // layers with attention; "" means all
  int heads, kv_heads, head_dim, ssm_heads, ssm_head_dim;
  int experts, experts_used, expert_width, shared_width;
  float residual, logits;
  int context;
};
constexpr Shape shapes[] = {
    {"granite-4.0-350m", 1024, 28, "", 16, 4, 64, 0, 0, 0, 0, 0, 2048, 0.263f, 4, 32768},
    {"granite-4.0-1b", 2048, 40, "", 16, 4, 128, 0, 0, 0, 0, 0, 4096, 0.22f, 8, 131072},
    {"granite-4.0-micro", 2560, 40, "", 40, 8, 64, 0, 0, 0, 0, 0, 8192, 0.22f, 10, 131072},
    {"granite-4.0-h-350m", 768, 32, "10,13,17,27", 12, 4, 64, 48, 32, 0, 0, 0, 2048, 0.246f, 3, 32768},
    {"granite-4.0-h-1b", 1536, 40, "5,15,25,35", 12, 4, 128, 48, 64, 0, 0, 0, 4096, 0.22f, 6, 131072},
    {"granite-4.0-h-micro", 2048, 40, "5,15,25,35", 32, 8, 64, 64, 64, 0, 0, 0, 8192, 0.22f, 8, 131072},
    {"granite-4.0-h-tiny", 1536, 40, "5,15,25,35", 12, 4, 128, 48, 64, 64, 6, 512, 1024, 0.22f, 6, 131072},
    {"granite-4.0-h-small", 4096, 40, "5,15,25,35", 32, 8, 128, 128, 64, 72, 10, 768, 1536, 0.22f, 16, 131072},
};
constexpr std::string_view family = "granite-4.0-";

Config config_of(const Shape& s) {
  Config c;
  c.vocab = 100352;
  c.hidden = s.hidden;
  c.layers = s.layers;
  std::string_view list = s.attention;
  c.kinds.assign(static_cast<std::size_t>(s.layers), list.empty() ? LayerKind::attention : LayerKind::mamba);
  for (std::size_t at = 0, layer = 0; at < list.size(); ++at) {
    if (list[at] != ',') layer = layer * 10 + static_cast<std::size_t>(list[at] - '0');
    if (list[at] != ',' && at + 1 < list.size()) continue;
    c.kinds[layer] = LayerKind::attention;
    layer = 0;
  }
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  if (s.ssm_heads) {
    c.ssm_heads = s.ssm_heads;
    c.ssm_head_dim = s.ssm_head_dim;
    c.groups = 1;
    c.state = 128;
    c.conv_kernel = 4;
    c.conv_bias = true;
  }
  c.experts = s.experts;
  c.experts_used = s.experts_used;
  c.expert_width = s.expert_width;
  c.shared_width = s.shared_width;
  c.context_length = s.context;
  c.embedding_multiplier = 12;
  c.residual_multiplier = s.residual;
  c.attention_multiplier = 1 / static_cast<float>(s.head_dim);
  c.logits_scaling = s.logits;
  c.eps = 1e-5f;
  c.rope = list.empty();
  c.rope_theta = 1e7;
  c.rope_interleaved = true;
  c.tied = true;
  return c;
}

const Shape* find(std::string_view name) {
  auto same = [&](const Shape& s) { return name == s.name || name == std::string_view(s.name).substr(family.size()); };
  auto at = std::find_if(std::begin(shapes), std::end(shapes), same);
  return at == std::end(shapes) ? nullptr : at;
}

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& s : shapes) names.emplace_back(s.name);
  return names;
}

std::optional<Config> find_shape(std::string_view name) {
  const Shape* shape = find(name);
  if (!shape) return {};
  return config_of(*shape);
}

std::optional<std::string> full_shape_name(std::string_view name) {
  const Shape* shape = find(name);
  if (!shape) return {};
  return shape->name;
}

}  // namespace switchyard::models
