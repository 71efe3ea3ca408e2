// config.json of a checkpoint.
#include <cmath>

#include "models/formats/json.h"
#include "models/formats/text.h"
#include "models/granite_hybrid/rules.h"

namespace switchyard::models {
namespace {

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
    return keys.refuse("time_step_limit",
                       limit->is_array() && limit->size() == 2
                           ? text("[", json_text((*limit)[0]), ", ", json_text((*limit)[1]), "]")
                           : json_text(*limit),
                       "[low, high] with 0 <= low < high; high may be Infinity");
  c.dt_min = static_cast<float>(*low);
  c.dt_max = static_cast<float>(*high);
}

void read_rope(Keys& keys, const Json& json, Config& c) {
  std::string position = keys.word("position_embedding_type", "nope");
  keys.require(position == "rope" || position == "nope", "position_embedding_type", printable(position),
               "rope or nope");
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

hal::Result<Config> config_from_json(std::string_view text_of_file, const std::string& name) {
  HAL_TRY(Json json, parse_json(text_of_file, name));
  if (!json.is_object())
    return hal::Error{hal::Code::io, text(name, ": holds ", json_text(json), "; expected an object")};
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
  check_relations(keys, c,
                  {"num_attention_heads", "num_key_value_heads", "mamba_n_heads", "mamba_n_groups",
                   "num_experts_per_tok", "head_dim"});
  HAL_CHECK(keys.status());
  clear_absent(c);
  return c;
}

}  // namespace switchyard::models
