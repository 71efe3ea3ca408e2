#include "models/granite_hybrid/config.h"

#include <algorithm>
#include <cmath>

#include "models/formats/gguf.h"
#include "models/formats/json.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/keys.h"

namespace switchyard::models {
namespace {

// Far above every published model, and low enough that no product of them overflows.
constexpr std::int64_t max_vocab = 1 << 24, max_hidden = 1 << 18, max_layers = 4096, max_width = 1 << 20;
constexpr std::int64_t max_heads = 1 << 14, max_head_dim = 1 << 12, max_groups = 1 << 10, max_state = 1 << 12;
constexpr std::int64_t max_kernel = 64, max_experts = 1 << 14, max_context = std::int64_t{1} << 31;
constexpr double max_multiplier = 1e6;

// What both sources check alike; the key names differ.
struct Names {
  const char *heads, *kv_heads, *ssm_heads, *groups, *experts_used, *head_dim;
};

void check_relations(Keys& keys, const Config& c, const Names& names) {
  if (keys.failed()) return;
  auto divides = [&](std::int64_t part, const char* key, std::int64_t whole, const std::string& what) {
    keys.require(part > 0 && whole % part == 0, key, std::to_string(part), text("a divisor of ", what, " (", whole, ")"));
  };
  if (c.count(LayerKind::attention)) {
    divides(c.kv_heads, names.kv_heads, c.heads, names.heads);
    keys.require(!c.rope || c.head_dim % 2 == 0, names.head_dim, std::to_string(c.head_dim), "an even number for rope");
  }
  if (c.count(LayerKind::mamba)) divides(c.groups, names.groups, c.ssm_heads, names.ssm_heads);
  if (c.experts)
    keys.require(c.experts_used <= c.experts, names.experts_used, std::to_string(c.experts_used),
                 text("at most the ", c.experts, " experts"));
}

// Sizes of absent parts are 0, so that nobody plans with them.
void clear_absent(Config& c) {
  if (!c.count(LayerKind::mamba)) c.ssm_heads = c.ssm_head_dim = c.groups = c.state = c.conv_kernel = 0;
  if (!c.count(LayerKind::attention)) c.heads = c.kv_heads = c.head_dim = 0;
  if (!c.experts) c.experts_used = c.expert_width = 0;
}

// ---------------------------------------------------------------- config.json

Found found(const Json& object, const std::string& key) {
  Found f;
  auto at = object.find(key);
  if (at == object.end() || at->is_null()) return f;
  f.present = true;
  f.shown = json_text(*at);
  if (at->is_number_integer() && !(at->is_number_unsigned() && at->get<std::uint64_t>() > INT64_MAX))
    f.integer = at->get<std::int64_t>();
  f.number = json_number(*at);
  if (at->is_boolean()) f.boolean = at->get<bool>();
  if (at->is_string() && !f.number) f.string = at->get<std::string>();
  return f;
}

void read_layer_types(Keys& keys, const Json& json, Config& c) {
  c.kinds.assign(static_cast<std::size_t>(c.layers), LayerKind::mamba);
  auto types = json.find("layer_types");
  if (types == json.end() || types->is_null()) return;
  if (!types->is_array() || types->size() != c.kinds.size())
    return keys.refuse("layer_types", json_text(*types), text("a list of ", c.layers, " (num_hidden_layers)"));
  for (std::size_t i = 0; i < c.kinds.size(); ++i) {
    const Json& type = (*types)[i];
    std::string word = type.is_string() ? type.get<std::string>() : "";
    if (word == "attention" || word == "full_attention") {
      c.kinds[i] = LayerKind::attention;
    } else if (word != "mamba" && word != "linear_attention") {
      return keys.refuse(text("layer_types[", i, "]"), json_text(type),
                         "mamba, linear_attention, attention or full_attention");
    }
  }
}

void read_mamba(Keys& keys, Config& c) {
  std::int64_t inner = keys.integer("mamba_expand", 1, 64, 2) * c.hidden;
  c.ssm_heads = keys.integer("mamba_n_heads", 1, max_heads);
  c.groups = keys.integer("mamba_n_groups", 1, max_groups, 1);
  c.state = keys.integer("mamba_d_state", 1, max_state);
  c.conv_kernel = keys.integer("mamba_d_conv", 2, max_kernel, 4);
  Found dim = keys.find("mamba_d_head");
  bool automatic = !dim.present || dim.string == "auto";
  c.ssm_head_dim = automatic ? inner / c.ssm_heads : keys.integer("mamba_d_head", 1, max_width);
  keys.require(c.d_inner() == inner, "mamba_n_heads * mamba_d_head",
               automatic ? text(c.ssm_heads, " heads, auto") : std::to_string(c.d_inner()),
               text("mamba_expand * hidden_size = ", inner));
}

void read_time_step_limit(Keys& keys, const Json& json, Config& c) {
  auto limit = json.find("time_step_limit");
  if (limit == json.end() || limit->is_null()) return;
  std::optional<double> low, high;
  if (limit->is_array() && limit->size() == 2) {
    low = json_number((*limit)[0]);
    high = json_number((*limit)[1]);
  }
  if (!low || !high || !(*low >= 0 && *low < *high) || !std::isfinite(static_cast<float>(*low)))
    return keys.refuse("time_step_limit", limit->is_array() && limit->size() == 2
                                              ? text("[", json_text((*limit)[0]), ", ", json_text((*limit)[1]), "]")
                                              : json_text(*limit),
                       "[low, high] with 0 <= low < high; high may be Infinity");
  c.dt_min = static_cast<float>(*low);
  c.dt_max = static_cast<float>(*high);
}

void read_rope(Keys& keys, const Json& json, Config& c) {
  std::string position = keys.word("position_embedding_type", "nope");
  keys.require(position == "rope" || position == "nope", "position_embedding_type", printable(position), "rope or nope");
  c.rope = position == "rope";
  if (!c.rope) return;
  c.rope_theta = keys.positive("rope_theta", 1e12, 10000);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    auto inner = json.find(key);
    if (inner == json.end() || inner->is_null()) continue;
    if (!inner->is_object()) return keys.refuse(key, json_text(*inner), "an object");
    Keys sub("", [&](const std::string& name) { return found(*inner, name); });
    std::string type = sub.word("rope_type", sub.word("type", "default"));
    keys.require(type == "default", text(key, ".rope_type"), printable(type), "default");
    if (sub.find("rope_theta").present) c.rope_theta = sub.positive("rope_theta", 1e12);
    keys.require(!sub.failed(), text(key, ".rope_theta"), sub.find("rope_theta").shown, "a number above 0");
  }
  Found part = keys.find("partial_rotary_factor");
  keys.require(!part.present || part.number == 1.0, "partial_rotary_factor", part.shown, "1");
}

void read_eos(Keys& keys, const Json& json, Config& c) {
  auto eos = json.find("eos_token_id");
  if (eos == json.end() || eos->is_null()) return;
  std::size_t count = eos->is_array() ? eos->size() : 1;
  keys.require(count <= 64, "eos_token_id", json_text(*eos), "a token or a list of at most 64");
  for (std::size_t i = 0; i < count && !keys.failed(); ++i) {
    const Json& token = eos->is_array() ? (*eos)[i] : *eos;
    bool whole = token.is_number_unsigned() && token.get<std::uint64_t>() < static_cast<std::uint64_t>(c.vocab);
    if (!whole) return keys.refuse("eos_token_id", json_text(token), text("tokens from 0 to ", c.vocab - 1));
    c.eos.push_back(token.get<std::int64_t>());
  }
}

void expect_word(Keys& keys, const char* key, const std::string& only) {
  std::string word = keys.word(key, only);
  keys.require(word == only, key, printable(word), only);
}

}  // namespace

std::int64_t Config::count(LayerKind kind) const { return std::count(kinds.begin(), kinds.end(), kind); }

hal::Result<Config> config_from_json(std::string_view text_of_file, const std::string& name) {
  HAL_TRY(Json json, parse_json(text_of_file, name));
  if (!json.is_object()) return hal::Error{hal::Code::io, text(name, ": holds ", json_text(json), "; expected an object")};
  Keys keys(name, [&](const std::string& key) { return found(json, key); });
  Config c;
  std::string model_type = keys.word("model_type", "missing");
  keys.require(model_type == "granitemoehybrid", "model_type", printable(model_type), "granitemoehybrid");
  expect_word(keys, "hidden_act", "silu");
  expect_word(keys, "normalization_function", "rmsnorm");
  c.vocab = keys.integer("vocab_size", 1, max_vocab);
  c.hidden = keys.integer("hidden_size", 1, max_hidden);
  c.layers = keys.integer("num_hidden_layers", 1, max_layers);
  HAL_CHECK(keys.status());
  read_layer_types(keys, json, c);
  if (c.count(LayerKind::attention)) {
    c.heads = keys.integer("num_attention_heads", 1, max_heads);
    c.kv_heads = keys.integer("num_key_value_heads", 1, max_heads, c.heads);
    bool given = keys.find("head_dim").present;
    c.head_dim = given ? keys.integer("head_dim", 1, max_head_dim) : c.hidden / c.heads;
    keys.require(given || c.hidden % c.heads == 0, "num_attention_heads", std::to_string(c.heads),
                 text("a divisor of hidden_size (", c.hidden, "), or a head_dim"));
  }
  if (c.count(LayerKind::mamba)) read_mamba(keys, c);
  c.experts = keys.integer("num_local_experts", 0, max_experts, 0);
  if (c.experts) {
    c.experts_used = keys.integer("num_experts_per_tok", 1, max_experts);
    c.expert_width = keys.integer("intermediate_size", 1, max_width);
  }
  c.shared_width = keys.integer("shared_intermediate_size", 1, max_width);
  c.context_length = keys.integer("max_position_embeddings", 1, max_context, 2048);
  c.embedding_multiplier = keys.positive("embedding_multiplier", max_multiplier, 1);
  c.residual_multiplier = keys.positive("residual_multiplier", max_multiplier, 1);
  c.attention_multiplier = keys.positive("attention_multiplier", max_multiplier, 1);
  c.logits_scaling = keys.positive("logits_scaling", max_multiplier, 1);
  c.eps = keys.positive("rms_norm_eps", 1, 1e-6);
  c.tied = keys.boolean("tie_word_embeddings", false);
  c.attention_bias = keys.boolean("attention_bias", false) && c.count(LayerKind::attention);
  c.conv_bias = keys.boolean("mamba_conv_bias", true) && c.count(LayerKind::mamba);
  c.projection_bias = keys.boolean("mamba_proj_bias", false) && c.count(LayerKind::mamba);
  read_time_step_limit(keys, json, c);
  read_rope(keys, json, c);
  read_eos(keys, json, c);
  check_relations(keys, c, {"num_attention_heads", "num_key_value_heads", "mamba_n_heads", "mamba_n_groups",
                            "num_experts_per_tok", "head_dim"});
  HAL_CHECK(keys.status());
  clear_absent(c);
  return c;
}

// ---------------------------------------------------------------- GGUF

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
  c.attention_multiplier = multiplier(keys, prefix + "attention.scale",
                                      c.head_dim ? 1 / std::sqrt(static_cast<double>(c.head_dim)) : 1);
  c.logits_scaling = multiplier(keys, prefix + "logit_scale", 1);
  c.eps = keys.positive(prefix + "attention.layer_norm_rms_epsilon", 1);
  c.tied = !gguf.tensors.contains("output.weight");
  c.attention_bias = any_tensor(gguf, c, {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"});
  c.conv_bias = any_tensor(gguf, c, {"ssm_conv1d.bias"});
  c.projection_bias = any_tensor(gguf, c, {"ssm_in.bias", "ssm_out.bias"});
  if (keys.find("tokenizer.ggml.eos_token_id").present)
    c.eos.push_back(keys.integer("tokenizer.ggml.eos_token_id", 0, c.vocab - 1));
  check_relations(keys, c, {"attention.head_count", "attention.head_count_kv", "ssm.time_step_rank", "ssm.group_count",
                            "expert_used_count", "attention.key_length"});
  HAL_CHECK(keys.status());
  clear_absent(c);
  return c;
}

}  // namespace switchyard::models
