#include "models/granite_hybrid/slots.h"

namespace switchyard::models {
namespace {

using Shape = std::vector<std::int64_t>;

class Slots {
 public:
  explicit Slots(std::string prefix = "") : prefix_(std::move(prefix)) {}
  void prefix(std::string prefix) { prefix_ = std::move(prefix); }
  void matrix(Weight& to, std::vector<std::string> names, const Shape& shape) {
    add(to, names, shape, shape, Role::matrix);
  }
  void vector(Weight& to, const std::string& name, const Shape& shape, Role role = Role::vector) {
    add(to, {name}, shape, shape, role);
  }
  void add(Weight& to, std::vector<std::string> names, Shape source, Shape shape, Role role,
           std::int64_t first_row = 0) {
    for (std::string& name : names) name = prefix_ + name;
    list.push_back({&to, std::move(names), std::move(source), std::move(shape), role, first_row});
  }
  std::vector<Slot> list;

 private:
  std::string prefix_;
};

}  // namespace

std::vector<Slot> checkpoint_slots(Model& model) {
  const Config& c = model.config;
  model.layers.resize(c.kinds.size());
  Slots s;
  s.matrix(model.embedding, {"model.embed_tokens.weight"}, {c.vocab, c.hidden});
  s.vector(model.final_norm, "model.norm.weight", {c.hidden});
  if (!c.tied) s.matrix(model.head, {"lm_head.weight"}, {c.vocab, c.hidden});
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerWeights& w = model.layers[i];
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    s.prefix(layer);
    s.vector(w.input_norm, "input_layernorm.weight", {c.hidden});
    s.vector(w.post_norm, "post_attention_layernorm.weight", {c.hidden});
    if (c.kinds[i] == LayerKind::mamba) {
      s.prefix(layer + "mamba.");
      s.matrix(w.in_proj, {"in_proj.weight"}, {c.in_proj_rows(), c.hidden});
      s.add(w.conv_weight, {"conv1d.weight"}, {c.conv_channels(), 1, c.conv_kernel}, {c.conv_channels(), c.conv_kernel},
            Role::vector);
      if (c.conv_bias) s.vector(w.conv_bias, "conv1d.bias", {c.conv_channels()});
      s.vector(w.dt_bias, "dt_bias", {c.ssm_heads});
      s.vector(w.a, "A_log", {c.ssm_heads}, Role::decay_log);
      s.vector(w.d, "D", {c.ssm_heads});
      s.vector(w.ssm_norm, "norm.weight", {c.d_inner()});
      s.matrix(w.out_proj, {"out_proj.weight"}, {c.hidden, c.d_inner()});
      if (c.projection_bias) {
        s.vector(w.in_proj_bias, "in_proj.bias", {c.in_proj_rows()});
        s.vector(w.out_proj_bias, "out_proj.bias", {c.hidden});
      }
    } else {
      std::int64_t rows = c.heads * c.head_dim, kv_rows = c.kv_heads * c.head_dim;
      s.prefix(layer + "self_attn.");
      s.matrix(w.q, {"q_proj.weight"}, {rows, c.hidden});
      s.matrix(w.k, {"k_proj.weight"}, {kv_rows, c.hidden});
      s.matrix(w.v, {"v_proj.weight"}, {kv_rows, c.hidden});
      s.matrix(w.o, {"o_proj.weight"}, {c.hidden, rows});
      if (c.attention_bias) {
        s.vector(w.q_bias, "q_proj.bias", {rows});
        s.vector(w.k_bias, "k_proj.bias", {kv_rows});
        s.vector(w.v_bias, "v_proj.bias", {kv_rows});
        s.vector(w.o_bias, "o_proj.bias", {c.hidden});
      }
    }
    if (c.experts) {
      s.prefix(layer + "block_sparse_moe.");
      s.matrix(w.router, {"router.layer.weight", "router.weight"}, {c.experts, c.hidden});
      s.matrix(w.experts_gate_up, {"input_linear.weight", "experts.gate_up_proj"},
               {c.experts, 2 * c.expert_width, c.hidden});
      s.matrix(w.experts_down, {"output_linear.weight", "experts.down_proj"}, {c.experts, c.hidden, c.expert_width});
    }
    if (c.shared_width) {
      Shape both{2 * c.shared_width, c.hidden}, half{c.shared_width, c.hidden};
      s.prefix(layer + "shared_mlp.");
      s.add(w.shared_gate, {"input_linear.weight"}, both, half, Role::matrix);
      s.add(w.shared_up, {"input_linear.weight"}, both, half, Role::matrix, c.shared_width);
      s.matrix(w.shared_down, {"output_linear.weight"}, {c.hidden, c.shared_width});
    }
  }
  return s.list;
}

std::vector<Slot> gguf_slots(Model& model, bool fused_experts) {
  const Config& c = model.config;
  model.layers.resize(c.kinds.size());
  Slots s;
  s.matrix(model.embedding, {"token_embd.weight"}, {c.vocab, c.hidden});
  s.vector(model.final_norm, "output_norm.weight", {c.hidden});
  if (!c.tied) s.matrix(model.head, {"output.weight"}, {c.vocab, c.hidden});
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    LayerWeights& w = model.layers[i];
    s.prefix("blk." + std::to_string(i) + ".");
    s.vector(w.input_norm, "attn_norm.weight", {c.hidden});
    s.vector(w.post_norm, "ffn_norm.weight", {c.hidden});
    if (c.kinds[i] == LayerKind::mamba) {
      s.matrix(w.in_proj, {"ssm_in.weight"}, {c.in_proj_rows(), c.hidden});
      s.vector(w.conv_weight, "ssm_conv1d.weight", {c.conv_channels(), c.conv_kernel});
      if (c.conv_bias) s.vector(w.conv_bias, "ssm_conv1d.bias", {c.conv_channels()});
      s.vector(w.dt_bias, "ssm_dt.bias", {c.ssm_heads});
      s.add(w.a, {"ssm_a"}, {c.ssm_heads, 1}, {c.ssm_heads}, Role::decay);
      s.add(w.d, {"ssm_d"}, {c.ssm_heads, 1}, {c.ssm_heads}, Role::vector);
      s.add(w.ssm_norm, {"ssm_norm.weight"}, {c.groups, c.d_inner() / c.groups}, {c.d_inner()}, Role::vector);
      s.matrix(w.out_proj, {"ssm_out.weight"}, {c.hidden, c.d_inner()});
      if (c.projection_bias) {
        s.vector(w.in_proj_bias, "ssm_in.bias", {c.in_proj_rows()});
        s.vector(w.out_proj_bias, "ssm_out.bias", {c.hidden});
      }
    } else {
      std::int64_t rows = c.heads * c.head_dim, kv_rows = c.kv_heads * c.head_dim;
      s.matrix(w.q, {"attn_q.weight"}, {rows, c.hidden});
      s.matrix(w.k, {"attn_k.weight"}, {kv_rows, c.hidden});
      s.matrix(w.v, {"attn_v.weight"}, {kv_rows, c.hidden});
      s.matrix(w.o, {"attn_output.weight"}, {c.hidden, rows});
      if (c.attention_bias) {
        s.vector(w.q_bias, "attn_q.bias", {rows});
        s.vector(w.k_bias, "attn_k.bias", {kv_rows});
        s.vector(w.v_bias, "attn_v.bias", {kv_rows});
        s.vector(w.o_bias, "attn_output.bias", {c.hidden});
      }
    }
    if (c.experts) {
      Shape half{c.experts, c.expert_width, c.hidden};
      s.matrix(w.router, {"ffn_gate_inp.weight"}, {c.experts, c.hidden});
      if (fused_experts) {
        s.matrix(w.experts_gate_up, {"ffn_gate_up_exps.weight"}, {c.experts, 2 * c.expert_width, c.hidden});
      } else {
        s.matrix(w.experts_gate, {"ffn_gate_exps.weight"}, half);
        s.matrix(w.experts_up, {"ffn_up_exps.weight"}, half);
      }
      s.matrix(w.experts_down, {"ffn_down_exps.weight"}, {c.experts, c.hidden, c.expert_width});
    }
    if (c.shared_width) {
      const std::string tail = c.experts ? "_shexp.weight" : ".weight";
      s.matrix(w.shared_gate, {"ffn_gate" + tail}, {c.shared_width, c.hidden});
      s.matrix(w.shared_up, {"ffn_up" + tail}, {c.shared_width, c.hidden});
      s.matrix(w.shared_down, {"ffn_down" + tail}, {c.hidden, c.shared_width});
    }
  }
  return s.list;
}

}  // namespace switchyard::models
