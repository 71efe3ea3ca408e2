// The metadata of a GGUF file.
#include <algorithm>
#include <cmath>

#include "models/formats/gguf.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/rules.h"

namespace switchyard::models {
namespace {

Found found(const Gguf& gguf, const std::string& key) {
  Found f;
  const GgufValue* v = gguf.find(key);
  if (!v) return f;
  f.present = true;
  f.shown = v->describe();
  f.integer = v->integer();
  f.number = v->number();
  f.boolean = v->boolean();
  if (auto s = v->string()) f.string = std::string(*s);
  return f;
}

// A number, or an array with one per layer.
std::vector<std::int64_t> per_layer(Keys& keys, const Gguf& gguf, const std::string& key, std::int64_t layers,
                                    std::int64_t low, std::int64_t high) {
  const GgufValue* v = gguf.find(key);
  if (!v || v->type != GgufValue::Type::array)
    return std::vector<std::int64_t>(static_cast<std::size_t>(layers), keys.integer(key, low, high));
  std::vector<std::int64_t> out;
  if (v->count != static_cast<std::uint64_t>(layers)) {
    keys.refuse(key, v->describe(), text("a number or an array of ", layers, " (block_count)"));
    return std::vector<std::int64_t>(static_cast<std::size_t>(layers), low);
  }
  for (std::uint64_t i = 0; i < v->count; ++i) {
    auto n = v->integer_at(i);
    keys.require(n && *n >= low && *n <= high, text(key, "[", i, "]"), n ? std::to_string(*n) : v->describe(),
                 text("a whole number from ", low, " to ", high));
    out.push_back(n.value_or(low));
  }
  return out;
}

// The one number that all layers with `wanted` have; the others are not asked.
std::int64_t uniform(Keys& keys, const std::vector<std::int64_t>& values, const std::string& key,
                     const std::function<bool(std::size_t)>& wanted) {
  std::int64_t one = -1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!wanted(i)) continue;
    keys.require(one < 0 || one == values[i], text(key, "[", i, "]"), std::to_string(values[i]),
                 text("the number of the other layers, ", one));
    one = values[i];
  }
  return std::max<std::int64_t>(one, 0);
}

// The multipliers: absent and 0 both mean the default.
float multiplier(Keys& keys, const std::string& key, double fallback) {
  Found f = keys.find(key);
  return !f.present || f.number == 0.0 ? static_cast<float>(fallback) : keys.positive(key, max_multiplier);
}

void read_ssm(Keys& keys, const std::string& prefix, Config& c) {
  std::int64_t inner = keys.integer(prefix + "ssm.inner_size", 1, max_hidden * 64);
  c.ssm_heads = keys.integer(prefix + "ssm.time_step_rank", 1, max_heads);
  c.groups = keys.integer(prefix + "ssm.group_count", 1, max_groups);
  c.state = keys.integer(prefix + "ssm.state_size", 1, max_state);
  c.conv_kernel = keys.integer(prefix + "ssm.conv_kernel", 2, max_kernel);
  c.ssm_head_dim = inner / c.ssm_heads;
  keys.require(c.d_inner() == inner, prefix + "ssm.time_step_rank", std::to_string(c.ssm_heads),
               text("a divisor of ssm.inner_size (", inner, ")"));
}

void read_attention(Keys& keys, const Gguf& gguf, const std::string& prefix, Config& c) {
  auto attention = [&](std::size_t i) { return c.kinds[i] == LayerKind::attention; };
  auto heads = per_layer(keys, gguf, prefix + "attention.head_count", c.layers, 0, max_heads);
  c.heads = uniform(keys, heads, prefix + "attention.head_count", attention);
  keys.require(c.heads > 0, prefix + "attention.head_count", "0", text("a whole number from 1 to ", max_heads));
  if (keys.failed()) return;
  bool given = keys.find(prefix + "attention.key_length").present;
  c.head_dim = given ? keys.integer(prefix + "attention.key_length", 1, max_head_dim) : c.hidden / c.heads;
  keys.require(given || c.hidden % c.heads == 0, prefix + "attention.head_count", std::to_string(c.heads),
               text("a divisor of embedding_length (", c.hidden, "), or a key_length"));
  std::int64_t value = keys.integer(prefix + "attention.value_length", 1, max_head_dim, c.head_dim);
  keys.require(value == c.head_dim, prefix + "attention.value_length", std::to_string(value),
               text("the key length ", c.head_dim));
  c.rope = keys.boolean(prefix + "rope.scaling.finetuned", true);
  c.rope_interleaved = true;
  if (!c.rope) return;
  c.rope_theta = keys.positive(prefix + "rope.freq_base", 1e12, 10000);
  std::int64_t rotated = keys.integer(prefix + "rope.dimension_count", 1, max_head_dim, c.head_dim);
  keys.require(rotated == c.head_dim, prefix + "rope.dimension_count", std::to_string(rotated),
               text("the head dimension ", c.head_dim));
  std::string type = keys.word(prefix + "rope.scaling.type", "none");
  keys.require(type == "none", prefix + "rope.scaling.type", printable(type), "none");
}

bool any_tensor(const Gguf& gguf, const Config& c, std::initializer_list<const char*> names) {
  for (std::int64_t i = 0; i < c.layers; ++i)
    for (const char* name : names)
      if (gguf.tensors.contains(text("blk.", i, ".", name))) return true;
  return false;
}

}  // namespace

hal::Result<Config> config_from_gguf(const Gguf& gguf, const std::string& name) {
  Keys keys(name, [&](const std::string& key) { return found(gguf, key); });
  Config c;
  std::string arch = keys.word("general.architecture", "missing");
  bool hybrid = arch == "granitehybrid", moe = arch == "granitemoe";
  keys.require(hybrid || moe || arch == "granite", "general.architecture", printable(arch),
               "granitehybrid, granite or granitemoe");
  HAL_CHECK(keys.status());
  std::string prefix = arch + ".";
  c.hidden = keys.integer(prefix + "embedding_length", 1, max_hidden);
  c.layers = keys.integer(prefix + "block_count", 1, max_layers);
  auto embedding = gguf.tensors.find("token_embd.weight");
  bool rows = embedding != gguf.tensors.end() && embedding->second.shape.size() == 2;
  c.vocab = keys.integer(prefix + "vocab_size", 1, max_vocab,
                         rows ? std::optional(std::min(embedding->second.shape[0], max_vocab)) : std::nullopt);
  HAL_CHECK(keys.status());

  auto kv = per_layer(keys, gguf, prefix + "attention.head_count_kv", c.layers, 0, max_heads);
  c.kinds.assign(static_cast<std::size_t>(c.layers), LayerKind::attention);
  for (std::size_t i = 0; hybrid && i < c.kinds.size(); ++i)
    if (kv[i] == 0) c.kinds[i] = LayerKind::mamba;
  c.kv_heads = uniform(keys, kv, prefix + "attention.head_count_kv",
                       [&](std::size_t i) { return c.kinds[i] == LayerKind::attention; });
  if (c.count(LayerKind::attention)) read_attention(keys, gguf, prefix, c);
  if (c.count(LayerKind::mamba)) read_ssm(keys, prefix, c);
  HAL_CHECK(keys.status());

  auto widths = per_layer(keys, gguf, prefix + "feed_forward_length", c.layers, 1, max_width);
  std::int64_t width = uniform(keys, widths, prefix + "feed_forward_length", [](std::size_t) { return true; });
  c.experts = keys.integer(prefix + "expert_count", 0, max_experts, 0);
  if (c.experts) {
    c.experts_used = keys.integer(prefix + "expert_used_count", 1, max_experts);
    c.expert_width = width;
    c.shared_width = keys.integer(prefix + "expert_shared_feed_forward_length", 0, max_width, 0);
  } else {
    c.shared_width = width;
  }
  c.context_length = keys.integer(prefix + "context_length", 1, max_context);
  c.embedding_multiplier = multiplier(keys, prefix + "embedding_scale", 1);
  c.residual_multiplier = multiplier(keys, prefix + "residual_scale", 1);
  c.attention_multiplier =
      multiplier(keys, prefix + "attention.scale", c.head_dim ? 1 / std::sqrt(static_cast<double>(c.head_dim)) : 1);
  c.logits_scaling = multiplier(keys, prefix + "logit_scale", 1);
  c.eps = keys.positive(prefix + "attention.layer_norm_rms_epsilon", 1);
  c.tied = !gguf.tensors.contains("output.weight");
  c.attention_bias = any_tensor(gguf, c, {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"});
  c.conv_bias = any_tensor(gguf, c, {"ssm_conv1d.bias"});
  c.projection_bias = any_tensor(gguf, c, {"ssm_in.bias", "ssm_out.bias"});
  if (keys.find("tokenizer.ggml.eos_token_id").present)
    c.eos.push_back(keys.integer("tokenizer.ggml.eos_token_id", 0, c.vocab - 1));
  check_relations(keys, c,
                  {"attention.head_count", "attention.head_count_kv", "ssm.time_step_rank", "ssm.group_count",
                   "expert_used_count", "attention.key_length"});
  HAL_CHECK(keys.status());
  clear_absent(c);
  return c;
}

}  // namespace switchyard::models
