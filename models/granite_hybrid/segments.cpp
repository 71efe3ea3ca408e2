#include "models/granite_hybrid/segments.h"

#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/embedding/embedding.h"
#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/router_topk/router_topk.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::models {
namespace {

using hal::Dim;
using hal::DType;
using hal::no_value;
using Role = Binding::Role;

class Writer {
 public:
  Writer(const Model& model, const StepShape& shape) : model_(model), c_(model.config), shape_(shape) {}

  ModelSegment write(std::int64_t first, std::int64_t last) {
    std::uint32_t x = no_value;
    for (std::int64_t unit = first; unit < last; ++unit) {
      b_.label(unit_name(model_, unit));
      const UnitPart part = part_of(model_, unit);
      if (x == no_value && part.part != Part::embedding) x = input(Role::hidden);
      switch (part.part) {
        case Part::embedding:
          x = kernels::embedding::append(
              b_, constant(model_.embedding), input(Role::tokens), c_.embedding_multiplier,
              model_.head.key == model_.embedding.key ? shape_.activations : kernels::Activations::exact);
          break;
        case Part::mixer: x = mixer(x, part.layer); break;
        case Part::feed_forward: x = feed_forward(x, part.layer); break;
        case Part::head: x = head(x); break;
      }
    }
    b_.output(x);
    out_.outputs.push_back({last == unit_count(model_) ? Role::logits : Role::hidden});
    for (auto [layer, index] : routing_) {
      b_.output(index);
      out_.outputs.push_back({Role::routing, layer});
    }
    for (auto [layer, rows] : scanned_) {
      b_.output(rows);
      out_.outputs.push_back({Role::scanned, layer});
    }
    out_.segment = b_.take();
    return std::move(out_);
  }

  ModelSegment rewind(std::int64_t first, std::int64_t last) {
    for (std::int64_t unit = first; unit < last; ++unit) {
      const UnitPart part = part_of(model_, unit);
      if (part.part != Part::mixer || c_.kinds[static_cast<std::size_t>(part.layer)] != LayerKind::mamba) continue;
      b_.label(unit_name(model_, unit) + " rewind");
      const auto rows = b_.input(DType::f32, {shape_.rows, Dim::fixed(scanned_columns(c_))});
      out_.inputs.push_back({Role::scanned, part.layer});
      recurrence(rows, 0, model_.layers[static_cast<std::size_t>(part.layer)], part.layer);
    }
    out_.segment = b_.take();
    return std::move(out_);
  }

 private:
  std::uint32_t constant(const Weight& w) {
    if (!w.present()) return no_value;
    if (auto known = constants_.find(w.key); known != constants_.end() && w.key != 0) return known->second;
    auto v = b_.constant(w.dtype, w.shape, w.key, w.data, w.owner, w.mapped);
    constants_[w.key] = v;
    return v;
  }

  // Each input is made once, when a unit first needs it.
  std::uint32_t input(Role role) {
    if (auto known = inputs_.find(role); known != inputs_.end()) return known->second;
    std::uint32_t v = no_value;
    switch (role) {
      case Role::tokens:
      case Role::positions: v = b_.input(DType::i32, {shape_.rows}); break;
      case Role::sequences: v = b_.input(DType::i32, {shape_.sequences, Dim::fixed(kernels::Sequence::width)}); break;
      case Role::page_table: v = b_.input(DType::i32, {shape_.sequences, Dim::fixed(shape_.pages_per_sequence)}); break;
      case Role::logit_rows: v = b_.input(DType::i32, {shape_.logits}); break;
      default: v = b_.input(DType::f32, {shape_.rows, Dim::fixed(c_.hidden)}); break;
    }
    inputs_[role] = v;
    out_.inputs.push_back({role});
    return v;
  }

  std::uint32_t state(Role role, std::int64_t layer, DType dtype, std::vector<std::int64_t> shape) {
    std::vector<Dim> dims;
    for (auto n : shape) dims.push_back(Dim::fixed(n));
    out_.states.push_back({role, layer});
    return b_.state(dtype, dims);
  }

  std::uint32_t mixer(std::uint32_t x, std::int64_t i) {
    const LayerWeights& w = model_.layers[static_cast<std::size_t>(i)];
    const auto u = kernels::rmsnorm::append(b_, x, constant(w.input_norm), c_.eps);
    return c_.kinds[static_cast<std::size_t>(i)] == LayerKind::mamba ? mamba(x, u, w, i) : attention(x, u, w, i);
  }

  std::uint32_t head(std::uint32_t x) {
    x = kernels::embedding::append(b_, x, input(Role::logit_rows));
    x = kernels::rmsnorm::append(b_, x, constant(model_.final_norm), c_.eps);
    kernels::gemm::Options o;
    o.scale = 1.0f / c_.logits_scaling;
    o.activations = shape_.activations;
    return kernels::gemm::append(b_, x, constant(model_.head), o);
  }

  std::uint32_t linear(std::uint32_t x, const Weight& w, const Weight& bias, std::uint32_t residual = no_value) {
    kernels::gemm::Options o;
    o.bias = constant(bias);
    o.residual = residual;
    o.scale = residual == no_value ? 1.0f : c_.residual_multiplier;
    o.activations = shape_.activations;
    return kernels::gemm::append(b_, x, constant(w), o);
  }

  // Of rows whose columns from x_offset on are x, B, C and dt.
  std::uint32_t recurrence(std::uint32_t rows, std::int64_t x_offset, const LayerWeights& w, std::int64_t i) {
    const std::int64_t channels = c_.conv_channels();
    auto window = state(Role::conv_window, i, DType::f32, {shape_.slots, c_.conv_kernel - 1, channels});
    auto xbc = kernels::causal_conv1d::append(b_, rows, constant(w.conv_weight), constant(w.conv_bias),
                                              input(Role::sequences), window, static_cast<std::int32_t>(x_offset));
    kernels::ssm_scan::Attrs scan;
    scan.heads = static_cast<std::int32_t>(c_.ssm_heads);
    scan.head_dim = static_cast<std::int32_t>(c_.ssm_head_dim);
    scan.groups = static_cast<std::int32_t>(c_.groups);
    scan.state = static_cast<std::int32_t>(c_.state);
    scan.dt_offset = static_cast<std::int32_t>(x_offset + channels);
    scan.dt_min = c_.dt_min;
    if (std::isfinite(c_.dt_max)) scan.dt_max = c_.dt_max;
    auto recurrent = state(Role::ssm_state, i, DType::f32, {shape_.slots, c_.ssm_heads, c_.ssm_head_dim, c_.state});
    return kernels::ssm_scan::append(b_, xbc, rows, constant(w.dt_bias), constant(w.a), constant(w.d),
                                     input(Role::sequences), recurrent, scan);
  }

  std::uint32_t mamba(std::uint32_t x, std::uint32_t u, const LayerWeights& w, std::int64_t i) {
    auto zxbcdt = linear(u, w.in_proj, w.in_proj_bias);
    if (shape_.scanned) scanned_.emplace_back(i, zxbcdt);
    auto y = recurrence(zxbcdt, c_.d_inner(), w, i);
    y = kernels::rmsnorm::append_gated(b_, y, constant(w.ssm_norm), zxbcdt,
                                       {c_.eps, static_cast<std::int32_t>(c_.groups), 0});
    return linear(y, w.out_proj, w.out_proj_bias, x);
  }

  std::uint32_t attention(std::uint32_t x, std::uint32_t u, const LayerWeights& w, std::int64_t i) {
    auto q = linear(u, w.q, w.q_bias), k = linear(u, w.k, w.k_bias), v = linear(u, w.v, w.v_bias);
    if (c_.rope) {
      kernels::rope::Attrs r;
      r.head_dim = static_cast<std::int32_t>(c_.head_dim);
      r.interleaved = c_.rope_interleaved;
      r.theta = static_cast<float>(c_.rope_theta);
      r.heads = static_cast<std::int32_t>(c_.heads);
      q = kernels::rope::append(b_, q, input(Role::positions), r);
      r.heads = static_cast<std::int32_t>(c_.kv_heads);
      k = kernels::rope::append(b_, k, input(Role::positions), r);
    }
    std::vector<std::int64_t> pages{shape_.pages, shape_.page_size, c_.kv_heads, c_.head_dim};
    kernels::attention::Inputs in{q,
                                  k,
                                  v,
                                  input(Role::sequences),
                                  input(Role::page_table),
                                  state(Role::k_pages, i, shape_.kv, pages),
                                  state(Role::v_pages, i, shape_.kv, pages)};
    kernels::attention::Attrs a;
    a.heads = static_cast<std::int32_t>(c_.heads);
    a.kv_heads = static_cast<std::int32_t>(c_.kv_heads);
    a.head_dim = static_cast<std::int32_t>(c_.head_dim);
    a.page_size = static_cast<std::int32_t>(shape_.page_size);
    a.scale = c_.attention_multiplier;
    return linear(kernels::attention::append(b_, in, a), w.o, w.o_bias, x);
  }

  std::uint32_t feed_forward(std::uint32_t x, std::int64_t i) {
    const LayerWeights& w = model_.layers[static_cast<std::size_t>(i)];
    const auto u = kernels::rmsnorm::append(b_, x, constant(w.post_norm), c_.eps);
    std::uint32_t y = x;
    if (c_.experts > 0) {
      auto chosen = kernels::router_topk::append(b_, kernels::gemm::append(b_, u, constant(w.router)),
                                                 static_cast<std::int32_t>(c_.experts_used));
      if (shape_.routing) routing_.emplace_back(i, chosen.index);
      kernels::expert_gemm::Inputs in{u, chosen.index, chosen.gate,
                                      constant(w.experts_gate_up.present() ? w.experts_gate_up : w.experts_gate)};
      in.w_up = constant(w.experts_up);
      in.w_down = constant(w.experts_down);
      in.residual = y;
      y = kernels::expert_gemm::append(
          b_, in, {static_cast<std::int32_t>(c_.experts), c_.residual_multiplier, shape_.activations});
    }
    if (!w.shared_gate.present()) return y;
    kernels::gemm::Options o;
    o.w_up = constant(w.shared_up);
    o.activations = shape_.activations;
    auto h = kernels::gemm::append(b_, u, constant(w.shared_gate), o);
    return linear(h, w.shared_down, {}, y);
  }

  const Model& model_;
  const Config& c_;
  const StepShape& shape_;
  kernels::SegmentBuilder b_;
  ModelSegment out_;
  std::map<Role, std::uint32_t> inputs_;
  std::vector<std::pair<std::int64_t, std::uint32_t>> routing_, scanned_;  // layer, value
  std::map<std::uint64_t, std::uint32_t> constants_;
};

}  // namespace

namespace {

std::int64_t units_per_layer(const Config& c) { return c.experts > 0 || c.shared_width > 0 ? 2 : 1; }

}  // namespace

std::int64_t unit_count(const Model& model) { return units_per_layer(model.config) * model.config.layers + 2; }

UnitPart part_of(const Model& model, std::int64_t unit) {
  const std::int64_t each = units_per_layer(model.config);
  if (unit == 0) return {Part::embedding};
  if (unit > each * model.config.layers) return {Part::head};
  return {(unit - 1) % each == 0 ? Part::mixer : Part::feed_forward, (unit - 1) / each};
}

std::string unit_kind(const Model& model, std::int64_t unit) {
  const UnitPart part = part_of(model, unit);
  const Config& c = model.config;
  switch (part.part) {
    case Part::embedding: return "embed";
    case Part::mixer: return c.kinds[static_cast<std::size_t>(part.layer)] == LayerKind::mamba ? "mamba" : "attention";
    case Part::feed_forward: return c.experts > 0 ? "experts" : "mlp";
    case Part::head: return "head";
  }
  return "";
}

std::string unit_name(const Model& model, std::int64_t unit) {
  const std::int64_t layer = part_of(model, unit).layer;
  const std::string kind = unit_kind(model, unit);
  return layer < 0 ? kind : "layer " + std::to_string(layer) + " (" + kind + ")";
}

ModelSegment build_segment(const Model& model, std::int64_t first, std::int64_t last, const StepShape& shape) {
  return Writer(model, shape).write(first, last);
}

std::int64_t scanned_columns(const Config& config) { return config.conv_channels() + config.ssm_heads; }

ModelSegment build_rewind(const Model& model, std::int64_t first, std::int64_t last, const StepShape& shape) {
  return Writer(model, shape).rewind(first, last);
}

hal::Bytes state_bytes(const Model& model, std::int64_t unit, std::int64_t context, hal::DType kv) {
  const Config& c = model.config;
  const UnitPart part = part_of(model, unit);
  if (part.part != Part::mixer) return 0;
  if (c.kinds[static_cast<std::size_t>(part.layer)] == LayerKind::mamba)
    return static_cast<hal::Bytes>(4 *
                                   (c.ssm_heads * c.ssm_head_dim * c.state + (c.conv_kernel - 1) * c.conv_channels()));
  return 2 * static_cast<hal::Bytes>(context) * hal::row_bytes(kv, c.kv_heads * c.head_dim);
}

}  // namespace switchyard::models
