#include "tests/models/samples.h"

#include <algorithm>

namespace switchyard::models {
namespace {

constexpr std::uint32_t u32 = 4, f32 = 6, boolean = 7, string = 8, array = 9;
constexpr int hidden = 32, vocab = 40, inner = 64, heads = 4, groups = 2, state = 8, kernel = 4,
              channels = inner + 2 * groups * state;
constexpr int experts_count = 4, expert_width = 24, shared = 16;

Bytes floats(std::size_t n, float value = 0.125f) {
  Bytes out;
  for (std::size_t i = 0; i < n; ++i) out += raw(value);
  return out;
}
std::size_t product(const std::vector<std::uint64_t>& dims) {
  std::size_t n = 1;
  for (auto d : dims) n *= d;
  return n;
}

}  // namespace

Bytes gguf_string(const std::string& text) { return raw<std::uint64_t>(text.size()) + text; }

GgufSample::GgufSample(bool experts) {
  auto number = [&](const std::string& name, std::uint32_t v) {
    keys.push_back({"granitehybrid." + name, u32, raw(v)});
  };
  auto real = [&](const std::string& name, float v) { keys.push_back({"granitehybrid." + name, f32, raw(v)}); };
  keys.push_back({"general.architecture", string, gguf_string("granitehybrid")});
  number("block_count", 2);
  number("embedding_length", hidden);
  number("vocab_size", vocab);
  number("context_length", 4096);
  number("feed_forward_length", experts ? expert_width : shared);
  number("attention.head_count", 2);
  keys.push_back({"granitehybrid.attention.head_count_kv", array,
                  raw(u32) + raw<std::uint64_t>(2) + raw<std::uint32_t>(0) + raw<std::uint32_t>(1)});
  real("attention.layer_norm_rms_epsilon", 1e-5f);
  real("attention.scale", 0.0625f);
  real("embedding_scale", 12);
  real("residual_scale", 0.22f);
  real("logit_scale", 8);
  number("ssm.conv_kernel", kernel);
  number("ssm.state_size", state);
  number("ssm.group_count", groups);
  number("ssm.inner_size", inner);
  number("ssm.time_step_rank", heads);
  if (experts) {
    number("expert_count", experts_count);
    number("expert_used_count", 2);
    number("expert_shared_feed_forward_length", shared);
  }
  keys.push_back({"granitehybrid.rope.scaling.finetuned", boolean, Bytes(1, '\0')});
  keys.push_back({"tokenizer.ggml.eos_token_id", u32, raw<std::uint32_t>(1)});

  auto tensor = [&](const std::string& name, std::vector<std::uint64_t> dims, float value = 0.125f) {
    Bytes data = floats(product(dims), value);
    tensors.push_back({name, std::move(dims), 0, 0, std::move(data)});
  };
  tensor("token_embd.weight", {hidden, vocab});
  tensor("output_norm.weight", {hidden});
  for (int i = 0; i < 2; ++i) {
    std::string b = "blk." + std::to_string(i) + ".";
    tensor(b + "attn_norm.weight", {hidden});
    tensor(b + "ffn_norm.weight", {hidden});
    if (i == 0) {
      tensor(b + "ssm_in.weight", {hidden, inner + channels + heads});
      tensor(b + "ssm_conv1d.weight", {kernel, channels});
      tensor(b + "ssm_conv1d.bias", {channels});
      tensor(b + "ssm_dt.bias", {heads});
      tensor(b + "ssm_a", {1, heads}, -2);
      tensor(b + "ssm_d", {1, heads});
      tensor(b + "ssm_norm.weight", {inner / groups, groups});
      tensor(b + "ssm_out.weight", {inner, hidden});
    } else {
      tensor(b + "attn_q.weight", {hidden, 32});
      tensor(b + "attn_k.weight", {hidden, 16});
      tensor(b + "attn_v.weight", {hidden, 16});
      tensor(b + "attn_output.weight", {32, hidden});
    }
    if (experts) {
      tensor(b + "ffn_gate_inp.weight", {hidden, experts_count});
      tensor(b + "ffn_gate_exps.weight", {hidden, expert_width, experts_count});
      tensor(b + "ffn_up_exps.weight", {hidden, expert_width, experts_count});
      tensor(b + "ffn_down_exps.weight", {expert_width, hidden, experts_count});
    }
    std::string tail = experts ? "_shexp.weight" : ".weight";
    tensor(b + "ffn_gate" + tail, {hidden, shared});
    tensor(b + "ffn_up" + tail, {hidden, shared});
    tensor(b + "ffn_down" + tail, {shared, hidden});
  }
  place();
}

GgufSample::Key& GgufSample::key(const std::string& name) {
  return *std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name.ends_with(name); });
}
GgufSample::Tensor& GgufSample::tensor(const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
}
void GgufSample::set(const std::string& name, std::uint32_t type, Bytes value) {
  Key& k = key(name);
  k.type = type;
  k.value = std::move(value);
}
void GgufSample::erase_key(const std::string& name) {
  std::erase_if(keys, [&](const Key& k) { return k.name.ends_with(name); });
  key_count = keys.size();
}
void GgufSample::erase_tensor(const std::string& name) {
  std::erase_if(tensors, [&](const Tensor& t) { return t.name == name; });
  place();
}

void GgufSample::place() {
  std::uint64_t at = 0;
  for (Tensor& t : tensors) {
    t.offset = at;
    at += (t.data.size() + alignment - 1) / alignment * alignment;
  }
  tensor_count = tensors.size();
  key_count = keys.size();
}

Bytes GgufSample::build() const {
  Bytes out = magic + raw(version) + raw(tensor_count) + raw(key_count);
  for (const Key& k : keys) out += gguf_string(k.name) + raw(k.type) + k.value;
  for (const Tensor& t : tensors) {
    out += gguf_string(t.name) + raw(static_cast<std::uint32_t>(t.dims.size()));
    for (auto d : t.dims) out += raw(d);
    out += raw(t.type) + raw(t.offset);
  }
  auto pad = [&] { out.resize((out.size() + alignment - 1) / alignment * alignment, '\0'); };
  pad();
  for (const Tensor& t : tensors) {
    out += t.data;
    pad();
  }
  return out;
}

SafetensorsSample::SafetensorsSample(bool experts) {
  config = {{"model_type", "granitemoehybrid"},
            {"vocab_size", vocab},
            {"hidden_size", hidden},
            {"num_hidden_layers", 2},
            {"layer_types", {"mamba", "attention"}},
            {"num_attention_heads", 2},
            {"num_key_value_heads", 1},
            {"mamba_n_heads", heads},
            {"mamba_d_head", inner / heads},
            {"mamba_n_groups", groups},
            {"mamba_d_state", state},
            {"mamba_d_conv", kernel},
            {"mamba_expand", 2},
            {"mamba_conv_bias", true},
            {"num_local_experts", experts ? experts_count : 0},
            {"num_experts_per_tok", experts ? 2 : 0},
            {"intermediate_size", expert_width},
            {"shared_intermediate_size", shared},
            {"max_position_embeddings", 4096},
            {"embedding_multiplier", 12},
            {"residual_multiplier", 0.22},
            {"attention_multiplier", 0.0625},
            {"logits_scaling", 8},
            {"rms_norm_eps", 1e-5},
            {"tie_word_embeddings", true},
            {"eos_token_id", 1},
            {"hidden_act", "silu"},
            {"position_embedding_type", "nope"}};
  auto tensor = [&](const std::string& name, std::vector<std::uint64_t> shape) {
    std::size_t begin = data.size();
    data += floats(product(shape));
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  };
  tensor("model.embed_tokens.weight", {vocab, hidden});
  tensor("model.norm.weight", {hidden});
  for (int i = 0; i < 2; ++i) {
    std::string l = "model.layers." + std::to_string(i) + ".";
    tensor(l + "input_layernorm.weight", {hidden});
    tensor(l + "post_attention_layernorm.weight", {hidden});
    if (i == 0) {
      tensor(l + "mamba.in_proj.weight", {inner + channels + heads, hidden});
      tensor(l + "mamba.conv1d.weight", {channels, 1, kernel});
      tensor(l + "mamba.conv1d.bias", {channels});
      for (const char* name : {"dt_bias", "A_log", "D"}) tensor(l + "mamba." + name, {heads});
      tensor(l + "mamba.norm.weight", {inner});
      tensor(l + "mamba.out_proj.weight", {hidden, inner});
    } else {
      tensor(l + "self_attn.q_proj.weight", {32, hidden});
      tensor(l + "self_attn.k_proj.weight", {16, hidden});
      tensor(l + "self_attn.v_proj.weight", {16, hidden});
      tensor(l + "self_attn.o_proj.weight", {hidden, 32});
    }
    if (experts) {
      tensor(l + "block_sparse_moe.router.layer.weight", {experts_count, hidden});
      tensor(l + "block_sparse_moe.input_linear.weight", {experts_count, 2 * expert_width, hidden});
      tensor(l + "block_sparse_moe.output_linear.weight", {experts_count, hidden, expert_width});
    }
    tensor(l + "shared_mlp.input_linear.weight", {2 * shared, hidden});
    tensor(l + "shared_mlp.output_linear.weight", {hidden, shared});
  }
}

Bytes SafetensorsSample::build(const Bytes& header, const Bytes& data) {
  return raw<std::uint64_t>(header.size()) + header + data;
}
Bytes SafetensorsSample::build() const {
  Bytes text = header.dump();
  return raw<std::uint64_t>(text.size() + extra_length) + text + data;
}

}  // namespace switchyard::models
