// Falsified config.json texts: each must be refused with the key, what it held and what was expected.
#include <regex>

#include "tests/models/refusing.h"

namespace switchyard::models {
namespace {

struct ConfigCase {
  const char* name;
  const char* says;
  std::function<void(nlohmann::json&)> falsify;
};
const ConfigCase config_cases[] = {
    {"model type", "model_type is 'llama'|granitemoehybrid", [](auto& c) { c["model_type"] = "llama"; }},
    {"no model type", "model_type is 'missing'", [](auto& c) { c.erase("model_type"); }},
    {"activation", "hidden_act is 'gelu'|silu", [](auto& c) { c["hidden_act"] = "gelu"; }},
    {"vocabulary missing", "vocab_size is missing", [](auto& c) { c.erase("vocab_size"); }},
    {"vocabulary 0", "vocab_size is 0|1 to 16777216", [](auto& c) { c["vocab_size"] = 0; }},
    {"vocabulary a string", "vocab_size is '40'", [](auto& c) { c["vocab_size"] = "40"; }},
    {"hidden negative", "hidden_size is -32", [](auto& c) { c["hidden_size"] = -32; }},
    {"hidden huge", "hidden_size is 18446744073709551615", [](auto& c) { c["hidden_size"] = huge; }},
    {"hidden a list", "hidden_size is a list of 1", [](auto& c) { c["hidden_size"] = {32}; }},
    {"layers huge", "num_hidden_layers is 1000000000", [](auto& c) { c["num_hidden_layers"] = 1000000000; }},
    {"layers fractional", "num_hidden_layers is 2.5", [](auto& c) { c["num_hidden_layers"] = 2.5; }},
    {"layers and types differ", "layer_types is a list of 2|list of 3", [](auto& c) { c["num_hidden_layers"] = 3; }},
    {"layer type", "layer_types[1] is 'conv'|full_attention", [](auto& c) { c["layer_types"][1] = "conv"; }},
    {"layer type a number", "layer_types[0] is 1", [](auto& c) { c["layer_types"][0] = 1; }},
    {"layer types a string", "layer_types is 'mamba'", [](auto& c) { c["layer_types"] = "mamba"; }},
    {"heads 0", "num_attention_heads is 0", [](auto& c) { c["num_attention_heads"] = 0; }},
    {"heads do not divide", "num_attention_heads is 3", [](auto& c) { c["num_attention_heads"] = 3; }},
    {"kv heads do not divide", "num_key_value_heads is 3|divisor of num_attention_heads (2)",
     [](auto& c) { c["num_key_value_heads"] = 3; }},
    {"head dim 0", "head_dim is 0", [](auto& c) { c["head_dim"] = 0; }},
    {"odd head dim with rope", "head_dim is 15|even",
     [](auto& c) {
       c["head_dim"] = 15;
       c["position_embedding_type"] = "rope";
     }},
    {"inner size", "mamba_n_heads * mamba_d_head is 60|mamba_expand * hidden_size = 64",
     [](auto& c) { c["mamba_d_head"] = 15; }},
    {"inner size, auto", "3 heads, auto",
     [](auto& c) {
       c["mamba_d_head"] = "auto";
       c["mamba_n_heads"] = 3;
     }},
    {"d_head another word", "mamba_d_head is 'big'", [](auto& c) { c["mamba_d_head"] = "big"; }},
    {"expand 0", "mamba_expand is 0", [](auto& c) { c["mamba_expand"] = 0; }},
    {"groups do not divide", "mamba_n_groups is 3|divisor of mamba_n_heads (4)",
     [](auto& c) { c["mamba_n_groups"] = 3; }},
    {"groups 0", "mamba_n_groups is 0", [](auto& c) { c["mamba_n_groups"] = 0; }},
    {"state huge", "mamba_d_state is 100000", [](auto& c) { c["mamba_d_state"] = 100000; }},
    {"kernel 1", "mamba_d_conv is 1", [](auto& c) { c["mamba_d_conv"] = 1; }},
    {"used above experts", "num_experts_per_tok is 5|4 experts",
     [](auto& c) {
       c["num_local_experts"] = 4;
       c["num_experts_per_tok"] = 5;
     }},
    {"used 0 of 4", "num_experts_per_tok is 0",
     [](auto& c) {
       c["num_local_experts"] = 4;
       c["num_experts_per_tok"] = 0;
     }},
    {"experts negative", "num_local_experts is -4", [](auto& c) { c["num_local_experts"] = -4; }},
    {"no shared width", "shared_intermediate_size is missing", [](auto& c) { c.erase("shared_intermediate_size"); }},
    {"multiplier 0", "residual_multiplier is 0", [](auto& c) { c["residual_multiplier"] = 0; }},
    {"multiplier negative", "logits_scaling is -8", [](auto& c) { c["logits_scaling"] = -8; }},
    {"multiplier a string", "embedding_multiplier is '12'", [](auto& c) { c["embedding_multiplier"] = "12"; }},
    {"multiplier beyond float", "attention_multiplier", [](auto& c) { c["attention_multiplier"] = 1e300; }},
    {"eps 0", "rms_norm_eps is 0", [](auto& c) { c["rms_norm_eps"] = 0.0; }},
    {"tied a number", "tie_word_embeddings is 1", [](auto& c) { c["tie_word_embeddings"] = 1; }},
    {"not tied", "'lm_head.weight' is missing", [](auto& c) { c["tie_word_embeddings"] = false; }},
    {"bias that is not there", "'model.layers.1.self_attn.q_proj.bias' is missing",
     [](auto& c) { c["attention_bias"] = true; }},
    {"bias that nobody expects", "conv1d.bias' [96] has no place", [](auto& c) { c["mamba_conv_bias"] = false; }},
    {"limit turned", "time_step_limit is [1, 0]",
     [](auto& c) {
       c["time_step_limit"] = {1, 0};
     }},
    {"limit negative", "time_step_limit is [-1, 2]",
     [](auto& c) {
       c["time_step_limit"] = {-1, 2};
     }},
    {"limit of three", "time_step_limit is a list of 3",
     [](auto& c) {
       c["time_step_limit"] = {0, 1, 2};
     }},
    {"limit of words", "time_step_limit",
     [](auto& c) {
       c["time_step_limit"] = {"a", "b"};
     }},
    {"position", "position_embedding_type is 'alibi'", [](auto& c) { c["position_embedding_type"] = "alibi"; }},
    {"theta 0", "rope_theta is 0",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_theta"] = 0;
     }},
    {"inner theta", "rope_parameters.rope_theta is -1",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_parameters"] = {{"rope_theta", -1}};
     }},
    {"scaled rope", "rope_scaling.rope_type is 'yarn'",
     [](auto& c) {
       c["position_embedding_type"] = "rope";
       c["rope_scaling"] = {{"type", "yarn"}};
     }},
    {"eos outside", "eos_token_id is 40|0 to 39",
     [](auto& c) {
       c["eos_token_id"] = {1, 40};
     }},
    {"eos a string", "eos_token_id is 'x'", [](auto& c) { c["eos_token_id"] = "x"; }},
    {"eos too many", "eos_token_id is a list of 100000",
     [](auto& c) { c["eos_token_id"] = std::vector<int>(100000, 1); }},
    {"a list", "expected an object", [](auto& c) { c = nlohmann::json::array(); }},
};

TEST(BadInput, FalsifiedConfig) {
  for (const ConfigCase& c : config_cases) {
    SafetensorsSample s(false);
    Bytes file = s.build();
    c.falsify(s.config);
    expect_refused(c.name, c.says, [&] { return read_safetensors(s.config.dump(), file); });
  }
}

TEST(BadInput, ConfigText) {
  SafetensorsSample s(false);
  Bytes file = s.build();
  std::string good = s.config.dump();
  auto with = [&](const std::string& field) { return "{" + field + "," + good.substr(1); };
  struct {
    const char* name;
    std::string config;
    const char* says;
  } cases[] = {
      {"empty", "", "JSON"},
      {"cut", good.substr(0, good.size() / 2), "JSON"},
      {"key twice", with("\"hidden_size\": 32"), "'hidden_size' appears twice"},
      {"nested deep", Bytes(1 << 20, '['), "nested deeper than 64"},
      {"nested deep in a field", with("\"x\":" + Bytes(1 << 20, '[') + Bytes(1 << 20, ']')), "nested deeper"},
      {"objects nested deep",
       [] {
         Bytes h;
         for (int i = 0; i < 100000; ++i) h += "{\"a\":";
         return h;
       }(),
       "nested deeper"},
      {"too large", Bytes(20 << 20, ' '), "at most 16777216"},
      {"NaN", std::regex_replace(good, std::regex("\"residual_multiplier\":[0-9.]+"), "\"residual_multiplier\":NaN"),
       "residual_multiplier is NaN"},
      {"Infinity", std::regex_replace(good, std::regex("\"logits_scaling\":[0-9.]+"), "\"logits_scaling\":Infinity"),
       "logits_scaling is Infinity"},
      {"Infinity as a size", std::regex_replace(good, std::regex("\"vocab_size\":[0-9.]+"), "\"vocab_size\":Infinity"),
       "vocab_size is Infinity"},
      {"1e999", std::regex_replace(good, std::regex("\"logits_scaling\":[0-9.]+"), "\"logits_scaling\":1e999"),
       "not JSON"},
      {"NaN limit", with("\"time_step_limit\":[NaN, Infinity]"), "time_step_limit is [NaN, Infinity]"},
      {"zero byte behind the end", good + std::string(1, '\0') + "x", "a zero byte"},
      {"not UTF-8", with("\"x\":\"\xff\""), "JSON"},
  };
  for (auto& c : cases) expect_refused(c.name, c.says, [&] { return read_safetensors(c.config, file); });
}

}  // namespace
}  // namespace switchyard::models
