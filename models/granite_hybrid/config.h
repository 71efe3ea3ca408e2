// Config: the sizes and numbers of a Granite hybrid model, checked. Everything after this may rely on them.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "hal/result.h"

namespace switchyard::models {

struct Gguf;

enum class LayerKind : std::uint8_t { mamba, attention };

// Sizes of parts a model does not have are 0: ssm_* without a Mamba layer, heads without an attention layer, experts.
struct Config {
  std::int64_t vocab = 0, hidden = 0, layers = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;  // kv_heads divides heads
  // groups divides ssm_heads; head h belongs to group h / (ssm_heads / groups)
  std::int64_t ssm_heads = 0, ssm_head_dim = 0, groups = 0, state = 0, conv_kernel = 0;
  std::int64_t experts = 0, experts_used = 0, expert_width = 0;  // experts == 0: no router, no experts
  std::int64_t shared_width = 0;                                 // of the MLP every token takes; 0: none
  std::int64_t context_length = 0;
  float embedding_multiplier = 1, residual_multiplier = 1, attention_multiplier = 1;
  float logits_scaling = 1;  // logits are divided by it
  float eps = 0;
  float dt_min = 0, dt_max = std::numeric_limits<float>::infinity();  // dt is clamped to this after softplus
  bool rope = false;
  double rope_theta = 10000;
  bool rope_interleaved = false;  // rotate neighbours (2j, 2j+1), as GGUF's q and k rows are ordered; else (j, j + d/2)
  std::vector<LayerKind> kinds;   // one per layer
  std::vector<std::int64_t> eos;  // token ids; may be empty
  bool tied = false;              // the head is the embedding
  bool attention_bias = false, conv_bias = false, projection_bias = false;  // which biases the file holds

  std::int64_t d_inner() const { return ssm_heads * ssm_head_dim; }
  std::int64_t conv_channels() const { return d_inner() + 2 * groups * state; }          // x, then B, then C
  std::int64_t in_proj_rows() const { return d_inner() + conv_channels() + ssm_heads; }  // z, x, B, C, dt
  std::int64_t count(LayerKind kind) const;
};

// Refusals are Code::io and name the key, what it held and what was expected. `name` stands at their beginning.
hal::Result<Config> config_from_json(std::string_view json, const std::string& name);
hal::Result<Config> config_from_gguf(const Gguf& gguf, const std::string& name);

}  // namespace switchyard::models
