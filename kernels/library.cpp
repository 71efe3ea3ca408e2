#include "kernels/library.h"

#include <algorithm>

#include "hal/shared/launch_plan.h"
#include "kernels/primitives.h"

namespace switchyard::kernels {

#define X(folder)              \
  namespace folder {           \
  extern const OpInfo op_info; \
  }
#include "kernels/ops.def"
#undef X

const std::vector<const OpInfo*>& ops() {
  static const std::vector<const OpInfo*> list{
#define X(folder) &folder::op_info,
#include "kernels/ops.def"
#undef X
  };
  return list;
}

const OpInfo* find_op(std::string_view name) {
  for (const OpInfo* op : ops()) {
    std::string_view full = op->name;
    if (full == name || full.substr(0, full.find('@')) == name) return op;
  }
  return nullptr;
}

namespace {

std::string unknown_op(const std::string& name) {
  std::string text = "op " + name + " is not known; known:";
  for (const OpInfo* op : ops()) text += std::string(" ") + op->name;
  return text;
}

// The kernels that would take this node, best first; `why` collects the refusals.
std::vector<Kernel> candidates(const Segment& segment, const Node& node, const Info& info, std::string& why) {
  std::vector<Kernel> found;
  const OpInfo* op = find_op(node.op);
  if (!op) {
    why = unknown_op(node.op);
    return found;
  }
  if (Status checked = op->check(segment, node); !checked) {
    why = checked.error().message;
    return found;
  }
  auto refuse = [&](const Kernel& k, const std::string& reason) {
    if (!why.empty()) why += "; ";
    why += std::string(k.variant) + ": " + reason;
  };
  std::vector<Kernel> all = op->kernels();
  for (Format format : info.formats)
    for (Kernel& k : all) {
      if (k.format != format || (!node.variant.empty() && node.variant != k.variant)) continue;
      auto missing =
          std::find_if(k.features.begin(), k.features.end(), [&](const char* f) { return !info.has_feature(f); });
      if (missing != k.features.end()) {
        refuse(k, info.id + " has no " + *missing);
      } else if (auto reason = k.refuse ? k.refuse(segment, node, info) : std::nullopt) {
        refuse(k, *reason);
      } else {
        found.push_back(k);
      }
    }
  if (found.empty() && why.empty()) {
    why = node.op + " has no kernel in a form " + info.id + " accepts (";
    for (std::size_t i = 0; i < info.formats.size(); ++i)
      why += (i ? ", " : "") + std::string(to_string(info.formats[i]));
    why += ")" + (node.variant.empty() ? std::string() : " named " + node.variant);
  }
  return found;
}

bool only_graphs(const Info& info) { return info.formats.size() == 1 && info.formats[0] == Format::graph; }

Claim claim_as_graph(const Segment& segment) {
  Claim claim;
  Group group{{}, true};
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n) {
    const OpInfo* op = find_op(segment.nodes[n].op);
    if (!op) {
      claim.declined.push_back({n, unknown_op(segment.nodes[n].op)});
    } else if (Status checked = op->check(segment, segment.nodes[n]); !checked) {
      claim.declined.push_back({n, checked.error().message});
    } else if (!op->decompose) {
      claim.declined.push_back({n, std::string(op->name) + " has no decomposition into primitives"});
    } else if (auto why = op->no_graph ? op->no_graph(segment, segment.nodes[n]) : std::nullopt) {
      claim.declined.push_back({n, *why});
    } else {
      group.nodes.push_back(n);
    }
  }
  if (!group.nodes.empty()) claim.groups.push_back(std::move(group));
  if (claim.whole())
    for (const Constant& c : segment.constants) claim.holds.push_back({0, "", max_bytes(segment.values[c.value])});
  return claim;
}

}  // namespace

Claim Library::claim(const Segment& segment, const Info& info) const {
  if (only_graphs(info)) return claim_as_graph(segment);
  Claim claim;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n) {
    const Node& node = segment.nodes[n];
    std::string why;
    if (candidates(segment, node, info, why).empty()) {
      claim.declined.push_back({n, why});
      continue;
    }
    claim.groups.push_back({{n}, false});
  }
  if (!claim.whole()) return claim;
  auto lowered = lower(segment, info);
  auto plan = lowered ? LaunchPlan::make(segment, std::move(*lowered), info.limits.align) : lowered.error();
  if (!plan) return {{}, {{0, plan.error().message}}, {}, 0};
  for (const LaunchPlan::Held& held : plan->constants) claim.holds.push_back({held.key, held.layout, held.bytes});
  claim.scratch = plan->scratch;
  return claim;
}

Result<Lowered> Library::lower(const Segment& segment, const Info& info) const {
  HAL_CHECK(check(segment));
  Lowered lowered;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n) {
    std::string why;
    auto found = candidates(segment, segment.nodes[n], info, why);
    if (found.empty()) return Error{Code::unsupported, "node " + std::to_string(n) + " on " + info.id + ": " + why};
    std::size_t before = lowered.launches.size();
    HAL_CHECK(found.front().lower(segment, n, info, lowered));
    for (std::size_t l = before; l < lowered.launches.size(); ++l) {
      lowered.launches[l].node = n;
      lowered.launches[l].format = found.front().format;
    }
  }
  return lowered;
}

std::vector<std::string> Library::variants(const Segment& segment, std::uint32_t node, const Info& info) const {
  Node any = segment.nodes[node];
  any.variant.clear();
  std::string why;
  std::vector<std::string> names;
  for (const Kernel& k : candidates(segment, any, info, why)) names.emplace_back(k.variant);
  return names;
}

Result<Decomposed> Library::decompose(const Segment& segment, Arithmetic arithmetic) const {
  HAL_CHECK(check(segment));
  for (std::size_t v = 0; v < segment.values.size(); ++v)
    for (const Dim& d : segment.values[v].shape)
      if (!d.is_fixed())
        return Error{Code::unsupported, "decompose: value " + std::to_string(v) + " " + to_string(segment.values[v]) +
                                            " has an open dim; graphs need fixed shapes"};
  GraphWriter graph(segment, arithmetic);
  for (const Node& node : segment.nodes) {
    const OpInfo* op = find_op(node.op);
    if (!op) return Error{Code::unsupported, unknown_op(node.op)};
    if (!op->decompose)
      return Error{Code::unsupported, std::string(op->name) + " has no decomposition into primitives"};
    HAL_CHECK(op->decompose(segment, node, graph));
  }
  return graph.finish();
}

Status check(const Segment& segment) {
  std::vector<bool> written(segment.values.size(), false);
  auto mark = [&](const std::vector<std::uint32_t>& list, const char* what) -> Status {
    for (auto v : list) {
      if (v >= segment.values.size())
        return Error{Code::invalid_argument, std::string(what) + " names value " + std::to_string(v) + " of " +
                                                 std::to_string(segment.values.size())};
      written[v] = true;
    }
    return ok();
  };
  HAL_CHECK(mark(segment.inputs, "inputs"));
  HAL_CHECK(mark(segment.states, "states"));
  for (const Constant& c : segment.constants) HAL_CHECK(mark({c.value}, "constants"));
  for (std::size_t n = 0; n < segment.nodes.size(); ++n) {
    const Node& node = segment.nodes[n];
    std::string where =
        "node " + std::to_string(n) + " (" + (n < segment.labels.size() ? segment.labels[n] : node.op) + ")";
    const OpInfo* op = find_op(node.op);
    if (!op) return Error{Code::unsupported, where + ": " + unknown_op(node.op)};
    for (auto v : node.in) {
      if (v == no_value) continue;
      if (v >= segment.values.size() || !written[v])
        return Error{Code::invalid_argument,
                     where + ": reads value " + std::to_string(v) + ", which nothing has written"};
    }
    if (Status checked = op->check(segment, node); !checked)
      return Error{checked.error().code, where + ": " + checked.error().message};
    HAL_CHECK(mark(node.out, "outputs of a node"));
  }
  for (auto v : segment.outputs)
    if (v >= segment.values.size() || !written[v])
      return Error{Code::invalid_argument, "output value " + std::to_string(v) + " is never written"};
  return ok();
}

Cost cost(const Segment& segment, Dims dims) {
  Cost total;
  for (const Node& node : segment.nodes)
    if (const OpInfo* op = find_op(node.op)) {
      Cost c = op->cost(segment, node, dims);
      total.flops += c.flops;
      total.bytes += c.bytes;
    }
  return total;
}

Activations activations_of(const Node& node) {
  const OpInfo* op = find_op(node.op);
  return op && op->activations ? op->activations(node) : Activations::exact;
}

std::uint32_t first_constant(const Segment& segment, const Node& node) {
  for (auto v : node.in)
    if (v != no_value && segment.constant(v)) return v;
  return no_value;
}

Products products_of(const Segment& segment, const Node& node) {
  const OpInfo* op = find_op(node.op);
  if (op && op->products) return op->products(segment, node);
  const std::uint32_t weights = first_constant(segment, node);
  if (weights == no_value || activations_of(node) == Activations::exact) return Products::f32;
  const DType type = segment.values[weights].dtype;
  return type == DType::bf16 ? Products::bf16 : block(type).elements > 1 ? Products::int8 : Products::f32;
}

}  // namespace switchyard::kernels
