#include "backends/sim/evaluator.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "hal/shared/half.h"

namespace switchyard::backends::sim {
namespace {

bool is_float(DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; }

std::vector<std::int64_t> sizes(const Tensor& t) {
  std::vector<std::int64_t> s;
  for (const Dim& d : t.shape) s.push_back(d.max);
  return s;
}

std::string show(const std::vector<std::int64_t>& shape) {
  std::string s = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

template <class T>
T load(std::span<const std::byte> from, std::size_t i) {
  T v;
  std::memcpy(&v, from.data() + i * sizeof(T), sizeof(T));
  return v;
}

void round_half(Array& a) {
  if (!a.f) return;
  for (float& x : *a.f) x = round_to_half(x);
}

Array empty_like(const Tensor& t) {
  Array a;
  a.shape = sizes(t);
  return a;
}

double flops_of(const Node& node, const std::vector<Tensor>& tensors) {
  auto out = static_cast<double>(max_elements(tensors[node.out[0]]));
  if (node.op != "prim.matmul")
    return node.op == "prim.reshape" || node.op == "prim.slice" || node.op == "prim.concat" ? 0 : out;
  const Tensor& a = tensors[node.in[0]];
  return 2 * out * static_cast<double>(a.shape[a.shape.size() - (node.attrs_as<PrimAttrs>().ta ? 2 : 1)].max);
}

}  // namespace

std::int64_t Array::count() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

Result<Array> to_array(const Tensor& t, std::span<const std::byte> bytes) {
  Array a = empty_like(t);
  auto n = static_cast<std::size_t>(a.count());
  const bool nibbles = t.dtype == DType::u4 || t.dtype == DType::i4;
  Bytes need = nibbles ? (n + 1) / 2 : tensor_bytes(t, {});
  if (bytes.size() != need)
    return Error{Code::invalid_argument, std::string("graph: ") + to_string(t.dtype) + " " + show(a.shape) + " has " +
                                             std::to_string(bytes.size()) + " bytes, needs " + std::to_string(need)};
  if (is_float(t.dtype)) {
    a.f = std::make_shared<std::vector<float>>(n);
    auto& f = *a.f;
    for (std::size_t i = 0; i < n; ++i) switch (t.dtype) {
        case DType::f32: f[i] = load<float>(bytes, i); break;
        case DType::f16: f[i] = half_to_float(load<std::uint16_t>(bytes, i)); break;
        default: f[i] = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(bytes, i)) << 16); break;
      }
    return a;
  }
  a.i = std::make_shared<std::vector<std::int32_t>>(n);
  auto& v = *a.i;
  for (std::size_t i = 0; i < n; ++i) switch (t.dtype) {
      case DType::i32: v[i] = load<std::int32_t>(bytes, i); break;
      case DType::i64: v[i] = static_cast<std::int32_t>(load<std::int64_t>(bytes, i)); break;
      case DType::i8: v[i] = load<std::int8_t>(bytes, i); break;
      case DType::u8:
      case DType::boolean: v[i] = load<std::uint8_t>(bytes, i); break;
      case DType::u4:
      case DType::i4: {
        std::int32_t nibble = load<std::uint8_t>(bytes, i / 2) >> (i % 2 * 4) & 15;
        v[i] = t.dtype == DType::i4 && nibble > 7 ? nibble - 16 : nibble;
        break;
      }
      default: return Error{Code::unsupported, std::string("graph: a value of type ") + to_string(t.dtype)};
    }
  return a;
}

Status to_bytes(const Array& a, DType dtype, std::span<std::byte> bytes) {
  const std::size_t n = a.f ? a.f->size() : a.i->size();
  if (dtype == DType::f32 && a.f && bytes.size() == 4 * n) {
    std::memcpy(bytes.data(), a.f->data(), bytes.size());
  } else if (dtype == DType::i32 && a.i && bytes.size() == 4 * n) {
    std::memcpy(bytes.data(), a.i->data(), bytes.size());
  } else {
    return Error{Code::unsupported, std::string("graph: an output of type ") + to_string(dtype) + " and " +
                                        std::to_string(n) + " elements in " + std::to_string(bytes.size()) +
                                        " bytes; outputs are f32 or i32"};
  }
  return ok();
}

Result<Evaluator> Evaluator::make(const Segment& graph, bool half) {
  Evaluator e;
  e.half_ = half;
  e.tensors_ = graph.values;
  e.inputs_ = graph.inputs;
  e.outputs_ = graph.outputs;
  e.constants_.resize(graph.values.size());
  std::vector<bool> written(graph.values.size(), false);
  for (auto v : graph.inputs) written[v] = true;
  for (const Constant& c : graph.constants) {
    HAL_TRY(e.constants_[c.value], to_array(graph.values[c.value], c.data));
    if (half) round_half(e.constants_[c.value]);
    e.constant_bytes_ += c.data.size();
    written[c.value] = true;
  }
  std::vector<Step> steps;
  for (std::uint32_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    e.names_.push_back(node.op);
    Step step{find_primitive(node.op), node.attrs_as<PrimAttrs>(), n, node.in, node.out, {}};
    std::string where = "graph node " + std::to_string(n) + " (" + node.op + ")";
    if (!step.primitive) return Error{Code::unsupported, where + ": no such primitive"};
    if (node.out.empty() || node.in.empty()) return Error{Code::invalid_argument, where + ": needs inputs and outputs"};
    bool folds = true;
    for (auto v : node.in) {
      if (v >= graph.values.size() || !written[v])
        return Error{Code::invalid_argument,
                     where + ": reads value " + std::to_string(v) + ", which nothing has written"};
      folds = folds && !e.constants_[v].shape.empty();
    }
    for (auto v : node.out) written[v] = true;
    if (folds) {
      HAL_CHECK(e.execute(step, e.constants_));
    } else {
      e.flops_ += flops_of(node, graph.values);
      steps.push_back(std::move(step));
    }
  }
  std::vector<bool> needed(graph.values.size(), false);
  for (auto v : graph.outputs) {
    if (v >= graph.values.size() || !written[v])
      return Error{Code::invalid_argument, "graph output " + std::to_string(v) + " is never written"};
    needed[v] = true;
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    for (auto v : step->out)
      if (!needed[v]) step->last.push_back(v);
    for (auto v : step->in)
      if (!needed[v]) {
        needed[v] = true;
        if (e.constants_[v].shape.empty()) step->last.push_back(v);
      }
  }
  for (std::size_t v = 0; v < needed.size(); ++v)
    if (!needed[v]) e.constants_[v] = {};
  e.steps_ = std::move(steps);
  return e;
}

Status Evaluator::execute(const Step& step, std::vector<Array>& values) const {
  std::vector<Array> in, out;
  for (auto v : step.in) in.push_back(!constants_[v].shape.empty() ? constants_[v] : values[v]);
  for (auto v : step.out) out.push_back(empty_like(tensors_[v]));
  if (Status done = step.primitive(step.attrs, in, out, tensors_[step.out[0]].dtype); !done)
    return Error{done.error().code,
                 "graph node " + std::to_string(step.node) + " (" + names_[step.node] + "): " + done.error().message};
  for (std::size_t i = 0; i < out.size(); ++i) {
    auto n = static_cast<std::size_t>(out[i].count());
    if ((out[i].f ? out[i].f->size() : out[i].i ? out[i].i->size() : n + 1) != n)
      return Error{Code::internal, "graph node " + std::to_string(step.node) + " (" + names_[step.node] +
                                       "): result does not have the shape " + show(out[i].shape)};
    // A shared array was rounded when it was made.
    if (half_ && out[i].f && out[i].f.use_count() == 1) round_half(out[i]);
    values[step.out[i]] = std::move(out[i]);
  }
  return ok();
}

Result<std::vector<Array>> Evaluator::run(std::vector<Array> inputs) const {
  std::vector<Array> values(tensors_.size());
  if (inputs.size() != inputs_.size())
    return Error{Code::invalid_argument,
                 "graph: " + std::to_string(inputs.size()) + " inputs, needs " + std::to_string(inputs_.size())};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (half_) round_half(inputs[i]);
    values[inputs_[i]] = std::move(inputs[i]);
  }
  for (const Step& step : steps_) {
    HAL_CHECK(execute(step, values));
    for (auto v : step.last) values[v] = {};
  }
  std::vector<Array> outputs;
  for (auto v : outputs_) outputs.push_back(!constants_[v].shape.empty() ? constants_[v] : values[v]);
  return outputs;
}

}  // namespace switchyard::backends::sim
