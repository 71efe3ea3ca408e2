#include "kernels/primitives.h"

#include <algorithm>
#include <numeric>

#include "kernels/common/quant.h"

namespace switchyard::kernels {
namespace {

std::int64_t count(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::vector<std::int64_t> sizes(const Tensor& t) {
  std::vector<std::int64_t> shape;
  for (const Dim& d : t.shape) shape.push_back(d.max);
  return shape;
}

std::string text(const std::vector<std::int64_t>& shape) {
  std::string s = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + "]";
}

// Right-aligned broadcast of size-1 axes; empty where the shapes do not fit.
std::vector<std::int64_t> broadcast(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::vector<std::int64_t> out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return {};
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

bool is_float(DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; }

std::uint64_t hash_bytes(std::uint64_t h, const void* data, std::size_t n) {
  auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < n; ++i) h = (h ^ p[i]) * 1099511628211ull;
  return h;
}

}  // namespace

GraphWriter::GraphWriter(const Segment& source, Arithmetic arithmetic) : source_(source), arithmetic_(arithmetic) {}

std::uint32_t GraphWriter::fail(const std::string& message, DType dtype, std::vector<std::int64_t> shape) {
  if (!error_) error_ = Error{Code::internal, "decompose: " + message};
  return add_value(dtype, shape);
}

std::uint32_t GraphWriter::add_value(DType dtype, const std::vector<std::int64_t>& shape) {
  Tensor t{dtype, {}};
  for (auto n : shape) t.shape.push_back(Dim::fixed(n));
  result_.graph.values.push_back(std::move(t));
  return static_cast<std::uint32_t>(result_.graph.values.size() - 1);
}

std::vector<std::int64_t> GraphWriter::shape(std::uint32_t value) const { return sizes(result_.graph.values[value]); }

std::uint32_t GraphWriter::emit(const char* name, std::vector<std::uint32_t> in, DType dtype,
                                std::vector<std::int64_t> shape, const PrimAttrs& attrs) {
  Node node;
  node.op = std::string("prim.") + name;
  node.in = std::move(in);
  node.set_attrs(attrs);
  std::string key = node.op + '\0' + static_cast<char>(dtype);
  key.append(reinterpret_cast<const char*>(node.in.data()), node.in.size() * sizeof(std::uint32_t));
  key.append(reinterpret_cast<const char*>(shape.data()), shape.size() * sizeof(std::int64_t));
  key.append(reinterpret_cast<const char*>(node.attrs.data()), node.attrs.size());
  if (auto known = emitted_.find(key); known != emitted_.end()) return result_.graph.nodes[known->second].out[0];
  if (shape.empty() || shape.size() > 4)
    return fail(node.op + ": rank " + std::to_string(shape.size()) + " is not 1 to 4", dtype, shape);
  node.out = {add_value(dtype, shape)};
  emitted_[key] = static_cast<std::uint32_t>(result_.graph.nodes.size());
  result_.graph.nodes.push_back(std::move(node));
  return result_.graph.nodes.back().out[0];
}

// ---- leaves

std::uint32_t GraphWriter::of(std::uint32_t v) {
  if (auto known = map_.find(v); known != map_.end()) return known->second;
  if (v >= source_.values.size()) return fail("value " + std::to_string(v) + " does not exist", DType::f32, {1});
  const Tensor& t = source_.values[v];
  std::uint32_t made;
  if (source_.constant(v)) {
    if (is_weight_type(t.dtype) && t.dtype != DType::f32) return weight(v);
    const Constant& c = *source_.constant(v);
    made = make_constant(t.dtype, sizes(t), c.key, c.data, c.owner);
  } else if (std::find(source_.inputs.begin(), source_.inputs.end(), v) != source_.inputs.end()) {
    made = border_input(GraphInput::From::value, v, t.dtype, sizes(t));
  } else {
    return fail("value " + std::to_string(v) + " " + to_string(t) +
                    " is used as a whole, but is no input, constant or earlier output",
                t.dtype, sizes(t));
  }
  map_[v] = made;
  return made;
}

void GraphWriter::set(std::uint32_t source_value, std::uint32_t graph_value) {
  const Tensor& t = source_.values[source_value];
  if (sizes(t) != shape(graph_value) || t.dtype != dtype(graph_value))
    fail("value " + std::to_string(source_value) + " " + to_string(t) + " became " +
             to_string(result_.graph.values[graph_value]),
         t.dtype, sizes(t));
  map_[source_value] = graph_value;
}

std::uint32_t GraphWriter::make_constant(DType dtype, std::vector<std::int64_t> shape, std::uint64_t key,
                                         std::span<const std::byte> data, std::shared_ptr<const void> owner) {
  std::uint32_t v = add_value(dtype, shape);
  Bytes need = max_bytes(result_.graph.values[v]);
  if (dtype == DType::u4 || dtype == DType::i4) need = static_cast<Bytes>(count(shape) + 1) / 2;
  if (data.empty()) {
    if (!error_)
      error_ =
          Error{Code::invalid_argument, "decompose: constant " + text(shape) +
                                            " has no data; a segment without its weights can be claimed, not compiled"};
  } else if (data.size() != need) {
    fail("constant " + text(shape) + " of " + hal::to_string(dtype) + " has " + std::to_string(data.size()) +
             " bytes, needs " + std::to_string(need),
         dtype, shape);
  }
  result_.graph.constants.push_back({v, key, data, std::move(owner), std::nullopt});
  return v;
}

std::uint32_t GraphWriter::constant(DType dtype, std::vector<std::int64_t> shape, std::vector<std::byte> bytes) {
  std::uint64_t h = 1469598103934665603ull;
  h = hash_bytes(h, &dtype, sizeof dtype);
  h = hash_bytes(h, shape.data(), shape.size() * sizeof(std::int64_t));
  h = hash_bytes(h, bytes.data(), bytes.size());
  for (auto [it, end] = constants_.equal_range(h); it != end; ++it) {
    const Constant* c = result_.graph.constant(it->second);
    if (this->dtype(it->second) == dtype && this->shape(it->second) == shape && std::ranges::equal(c->data, bytes))
      return it->second;
  }
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  std::uint32_t v = make_constant(dtype, std::move(shape), h, *owner, owner);
  constants_.emplace(h, v);
  return v;
}

std::uint32_t GraphWriter::constant(std::vector<std::int64_t> shape, const std::vector<float>& data) {
  auto bytes = std::as_bytes(std::span(data));
  return constant(DType::f32, std::move(shape), {bytes.begin(), bytes.end()});
}

std::uint32_t GraphWriter::constant(std::vector<std::int64_t> shape, const std::vector<std::int32_t>& data) {
  auto bytes = std::as_bytes(std::span(data));
  return constant(DType::i32, std::move(shape), {bytes.begin(), bytes.end()});
}

std::uint32_t GraphWriter::iota(std::vector<std::int64_t> shape) {
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(count(shape)));
  std::iota(numbers.begin(), numbers.end(), 0);
  return constant(std::move(shape), numbers);
}

std::uint32_t GraphWriter::scalar(float value) { return constant({1}, std::vector<float>{value}); }

Result<std::vector<float>> GraphWriter::data(std::uint32_t source_value) const {
  const Constant* c = source_value < source_.values.size() ? source_.constant(source_value) : nullptr;
  if (!c) return Error{Code::unsupported, "decompose: value " + std::to_string(source_value) + " must be a constant"};
  const Tensor& t = source_.values[source_value];
  if (c->data.size() != max_bytes(t))
    return Error{Code::invalid_argument, "decompose: constant " + std::to_string(source_value) + " " + to_string(t) +
                                             " has " + std::to_string(c->data.size()) + " bytes of data, needs " +
                                             std::to_string(max_bytes(t))};
  std::vector<float> values(static_cast<std::size_t>(max_elements(t)));
  if (!dequantize_row(t.dtype, c->data.data(), max_elements(t), values.data()))
    return Error{Code::unsupported,
                 "decompose: constant " + std::to_string(source_value) + " " + to_string(t) + " is no weight type"};
  return values;
}

// ---- border

Status GraphWriter::step(std::uint32_t sequences, std::uint32_t x, std::uint32_t page_table) {
  const Dim& rows = source_.values[x].shape[0];
  const Tensor& s = source_.values[sequences];
  if (s.shape[0].max != 1)
    return Error{Code::unsupported, "decompose: value " + std::to_string(sequences) + " (sequences) is " +
                                        to_string(s) + ", a graph runs one sequence: [1, 5]"};
  auto same = [&](std::uint32_t& kept, std::uint32_t given, const char* name) -> Status {
    if (given == no_value || given == kept) return ok();
    if (kept != no_value)
      return Error{Code::unsupported, std::string("decompose: ") + name + " is value " + std::to_string(given) +
                                          " here and value " + std::to_string(kept) + " in an earlier op"};
    if (std::find(source_.inputs.begin(), source_.inputs.end(), given) == source_.inputs.end())
      return Error{Code::unsupported, std::string("decompose: ") + name + " (value " + std::to_string(given) +
                                          ") must be an input of the segment"};
    kept = given;
    return ok();
  };
  HAL_CHECK(same(result_.sequences, sequences, "sequences"));
  HAL_CHECK(same(result_.page_table, page_table, "page_table"));
  if (result_.rows.max != 0 && result_.rows.max != rows.max)
    return Error{Code::unsupported, "decompose: ops of " + std::to_string(result_.rows.max) + " and of " +
                                        std::to_string(rows.max) + " rows in one step"};
  result_.rows = rows;
  return ok();
}

std::uint32_t GraphWriter::border_input(GraphInput::From from, std::uint32_t source_value, DType dtype,
                                        std::vector<std::int64_t> shape) {
  auto [it, fresh] = border_.try_emplace({static_cast<int>(from), source_value}, 0);
  if (!fresh) return it->second;
  it->second = add_value(dtype, shape);
  result_.graph.inputs.push_back(it->second);
  result_.inputs.push_back({from, source_value});
  return it->second;
}

void GraphWriter::border_output(GraphOutput::To to, std::uint32_t source_value, std::uint32_t value) {
  if (!border_out_.try_emplace({static_cast<int>(to), source_value}, value).second)
    fail("value " + std::to_string(source_value) + " is written by two ops of the segment", DType::f32, {1});
  result_.graph.outputs.push_back(value);
  result_.outputs.push_back({to, source_value});
}

std::uint32_t GraphWriter::slot_in(std::uint32_t state) {
  auto s = sizes(source_.values[state]);
  s.erase(s.begin());
  if (border_out_.count({static_cast<int>(GraphOutput::To::slot_out), state}))
    return fail("state " + std::to_string(state) + " is read after an op of the segment has written it", DType::f32, s);
  return border_input(GraphInput::From::slot_in, state, DType::f32, s);
}

void GraphWriter::slot_out(std::uint32_t state, std::uint32_t value) {
  auto s = sizes(source_.values[state]);
  s.erase(s.begin());
  if (shape(value) != s)
    fail("state " + std::to_string(state) + ": a slot is " + text(s) + ", got " + text(shape(value)), DType::f32, s);
  border_output(GraphOutput::To::slot_out, state, value);
}

std::uint32_t GraphWriter::page(std::uint32_t state) {
  auto s = sizes(source_.values[state]);
  s.erase(s.begin());
  return border_input(GraphInput::From::page, state, DType::f32, s);
}

void GraphWriter::page_rows(std::uint32_t state, std::uint32_t value) {
  auto s = sizes(source_.values[state]);
  s.erase(s.begin());
  s[0] = result_.rows.max;
  if (shape(value) != s)
    fail("state " + std::to_string(state) + ": new rows are " + text(s) + ", got " + text(shape(value)), DType::f32, s);
  border_output(GraphOutput::To::page_rows, state, value);
}

std::uint32_t GraphWriter::rows() { return border_input(GraphInput::From::rows, 0, DType::i32, {1}); }
std::uint32_t GraphWriter::past() { return border_input(GraphInput::From::past, 0, DType::i32, {1}); }

std::uint32_t GraphWriter::valid(std::int64_t n) { return select(less(iota({n, 1}), rows()), scalar(1), scalar(0)); }

// ---- primitives

bool GraphWriter::axis_of(const char* name, std::uint32_t a, int& axis) {
  int rank = static_cast<int>(shape(a).size());
  if (axis < 0) axis += rank;
  if (axis >= 0 && axis < rank) return true;
  fail(std::string(name) + ": axis " + std::to_string(axis) + " of " + text(shape(a)), DType::f32, {1});
  return false;
}

std::uint32_t GraphWriter::binary(const char* name, std::uint32_t a, std::uint32_t b) {
  auto s = broadcast(shape(a), shape(b));
  bool is_less = std::string_view(name) == "less";
  if (s.empty() || dtype(a) != dtype(b) ||
      (is_less ? dtype(a) != DType::i32 : dtype(a) != DType::f32 && dtype(a) != DType::i32))
    return fail(
        std::string(name) + " of " + to_string(result_.graph.values[a]) + " and " + to_string(result_.graph.values[b]),
        dtype(a), shape(a));
  return emit(name, {a, b}, is_less ? DType::boolean : dtype(a), s);
}

std::uint32_t GraphWriter::unary(const char* name, std::uint32_t a) {
  if (!is_float(dtype(a)))
    return fail(std::string(name) + " of " + to_string(result_.graph.values[a]), dtype(a), shape(a));
  return emit(name, {a}, dtype(a), shape(a));
}

std::uint32_t GraphWriter::select(std::uint32_t condition, std::uint32_t a, std::uint32_t b) {
  auto ab = broadcast(shape(a), shape(b));
  auto s = ab.empty() ? ab : broadcast(shape(condition), ab);
  if (s.empty() || dtype(condition) != DType::boolean || dtype(a) != DType::f32 || dtype(b) != DType::f32)
    return fail("select of " + to_string(result_.graph.values[condition]) + ", " + to_string(result_.graph.values[a]) +
                    ", " + to_string(result_.graph.values[b]),
                dtype(a), shape(a));
  return emit("select", {condition, a, b}, dtype(a), s);
}

std::uint32_t GraphWriter::convert(std::uint32_t a, DType to) {
  return dtype(a) == to ? a : emit("convert", {a}, to, shape(a));
}

std::uint32_t GraphWriter::matmul(std::uint32_t a, std::uint32_t b, bool ta, bool tb) {
  auto x = shape(a), y = shape(b);
  if (x.size() < 2 || y.size() < 2 || dtype(a) != DType::f32 || dtype(b) != DType::f32)
    return fail("matmul of " + to_string(result_.graph.values[a]) + " and " + to_string(result_.graph.values[b]),
                DType::f32, {1});
  if (ta) std::swap(x[x.size() - 1], x[x.size() - 2]);
  if (tb) std::swap(y[y.size() - 1], y[y.size() - 2]);
  std::vector<std::int64_t> lead_x(x.begin(), x.end() - 2), lead_y(y.begin(), y.end() - 2);
  auto s = broadcast(lead_x, lead_y);
  std::int64_t m = x[x.size() - 2], n = y.back();
  bool leads_fit = !s.empty() || (lead_x.empty() && lead_y.empty());
  s.push_back(m);
  s.push_back(n);
  if (x.back() != y[y.size() - 2] || !leads_fit)
    return fail("matmul of " + to_string(result_.graph.values[a]) + (ta ? "^T" : "") + " and " +
                    to_string(result_.graph.values[b]) + (tb ? "^T" : ""),
                DType::f32, s);
  PrimAttrs attrs;
  attrs.ta = ta;
  attrs.tb = tb;
  return emit("matmul", {a, b}, DType::f32, s, attrs);
}

std::uint32_t GraphWriter::softmax(std::uint32_t a, int axis) {
  PrimAttrs attrs;
  if (!axis_of("softmax", a, axis)) return a;
  attrs.axis = axis;
  return emit("softmax", {a}, dtype(a), shape(a), attrs);
}

std::uint32_t GraphWriter::reduce(const char* name, std::uint32_t a, int axis) {
  if (!axis_of(name, a, axis)) return a;
  PrimAttrs attrs;
  attrs.axis = axis;
  auto s = shape(a);
  s[static_cast<std::size_t>(axis)] = 1;
  return emit(name, {a}, dtype(a), s, attrs);
}

std::uint32_t GraphWriter::reshape(std::uint32_t a, std::vector<std::int64_t> to) {
  if (to == shape(a)) return a;
  if (count(to) != count(shape(a))) return fail("reshape of " + text(shape(a)) + " to " + text(to), dtype(a), to);
  return emit("reshape", {a}, dtype(a), to);
}

std::uint32_t GraphWriter::transpose(std::uint32_t a, std::vector<int> perm) {
  auto from = shape(a), to = from;
  std::vector<bool> seen(from.size(), false);
  bool fits = perm.size() == from.size() && perm.size() <= 4;
  PrimAttrs attrs;
  for (std::size_t i = 0; fits && i < perm.size(); ++i) {
    auto p = static_cast<std::size_t>(perm[i]);
    fits = p < from.size() && !seen[p];
    if (!fits) break;
    seen[p] = true;
    to[i] = from[p];
    attrs.perm[i] = perm[i];
  }
  if (!fits) return fail("transpose of " + text(from) + " by " + std::to_string(perm.size()) + " axes", dtype(a), from);
  return std::is_sorted(perm.begin(), perm.end()) ? a : emit("transpose", {a}, dtype(a), to, attrs);
}

std::uint32_t GraphWriter::concat(std::vector<std::uint32_t> parts, int axis) {
  if (parts.empty()) return fail("concat of nothing", DType::f32, {1});
  if (parts.size() == 1 || !axis_of("concat", parts[0], axis)) return parts[0];
  auto at = static_cast<std::size_t>(axis);
  auto s = shape(parts[0]);
  std::int64_t sum = 0;
  for (auto p : parts) {
    auto other = shape(p);
    if (other.size() != s.size() || dtype(p) != dtype(parts[0]))
      return fail("concat of " + text(s) + " and " + text(other), dtype(parts[0]), s);
    sum += other[at];
    other[at] = s[at];
    if (other != s) return fail("concat of " + text(s) + " and " + text(shape(p)), dtype(parts[0]), s);
  }
  s[at] = sum;
  PrimAttrs attrs;
  attrs.axis = axis;
  DType type = dtype(parts[0]);
  return emit("concat", std::move(parts), type, s, attrs);
}

std::uint32_t GraphWriter::slice(std::uint32_t a, int axis, std::int64_t begin, std::int64_t end) {
  if (!axis_of("slice", a, axis)) return a;
  auto s = shape(a);
  std::int64_t& n = s[static_cast<std::size_t>(axis)];
  if (begin == 0 && end == n) return a;
  if (begin < 0 || begin >= end || end > n)
    return fail("slice " + std::to_string(begin) + ".." + std::to_string(end) + " of axis " + std::to_string(axis) +
                    " of " + text(s),
                dtype(a), s);
  n = end - begin;
  PrimAttrs attrs;
  attrs.axis = axis;
  attrs.begin = static_cast<std::int32_t>(begin);
  attrs.end = static_cast<std::int32_t>(end);
  return emit("slice", {a}, dtype(a), s, attrs);
}

std::uint32_t GraphWriter::gather(std::uint32_t a, std::uint32_t index) {
  auto from = shape(a), s = shape(index);
  if (dtype(index) != DType::i32) return fail("gather by " + to_string(result_.graph.values[index]), dtype(a), from);
  s.insert(s.end(), from.begin() + 1, from.end());
  return emit("gather", {a, index}, dtype(a), s);
}

std::pair<std::uint32_t, std::uint32_t> GraphWriter::topk(std::uint32_t a, int axis, int k) {
  if (!axis_of("topk", a, axis)) return {a, a};
  auto s = shape(a);
  std::int64_t& n = s[static_cast<std::size_t>(axis)];
  if (k < 1 || k > n) {
    std::uint32_t bad = fail("topk: k = " + std::to_string(k) + " of " + std::to_string(n), dtype(a), s);
    return {bad, bad};
  }
  n = k;
  PrimAttrs attrs;
  attrs.axis = axis;
  attrs.k = k;
  std::uint32_t values = emit("topk", {a}, dtype(a), s, attrs);
  for (auto& node : result_.graph.nodes)
    if (!node.out.empty() && node.out[0] == values) {
      if (node.out.size() == 1) {
        std::uint32_t index = add_value(DType::i32, s);
        node.out.push_back(index);
      }
      return {values, node.out[1]};
    }
  return {values, values};
}

std::uint32_t GraphWriter::one_hot(std::uint32_t index, std::int64_t depth) {
  auto s = shape(index);
  if (dtype(index) != DType::i32 || depth < 1)
    return fail("one_hot of " + to_string(result_.graph.values[index]), DType::f32, s);
  s.push_back(depth);
  PrimAttrs attrs;
  attrs.k = static_cast<std::int32_t>(depth);
  return emit("one_hot", {index}, DType::f32, s, attrs);
}

Result<Decomposed> GraphWriter::finish() {
  for (std::uint32_t v : source_.outputs) {
    result_.graph.outputs.push_back(of(v));
    result_.outputs.push_back({GraphOutput::To::value, v});
  }
  if (error_) return *error_;
  return std::move(result_);
}

}  // namespace switchyard::kernels
