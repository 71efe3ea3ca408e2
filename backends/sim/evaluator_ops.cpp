// The primitives themselves.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "backends/sim/evaluator.h"
#include "hal/shared/half.h"

namespace switchyard::backends::sim {
namespace {

using In = std::span<const Array>;
using Out = std::span<Array>;

Status refuse(std::string text) { return Error{Code::invalid_argument, std::move(text)}; }

std::vector<float>& floats(Array& a) {
  a.f = std::make_shared<std::vector<float>>(static_cast<std::size_t>(a.count()));
  return *a.f;
}
std::vector<std::int32_t>& ints(Array& a) {
  a.i = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(a.count()));
  return *a.i;
}
template <class T>
const std::vector<T>& data(const Array& a) {
  if constexpr (std::is_same_v<T, float>)
    return *a.f;
  else
    return *a.i;
}
template <class T>
std::vector<T>& fresh(Array& a) {
  if constexpr (std::is_same_v<T, float>)
    return floats(a);
  else
    return ints(a);
}

using Four = std::array<std::int64_t, 4>;
Four four(const std::vector<std::int64_t>& shape) {
  Four f{1, 1, 1, 1};
  std::copy(shape.begin(), shape.end(), f.end() - static_cast<std::ptrdiff_t>(shape.size()));
  return f;
}
// Steps through an array as if it had the shape `out`: 0 along broadcast axes.
Four strides(const std::vector<std::int64_t>& shape, const Four& out, bool& fits) {
  Four size = four(shape), stride{};
  std::int64_t step = 1;
  for (int i = 3; i >= 0; --i) {
    auto a = static_cast<std::size_t>(i);
    stride[a] = size[a] == 1 ? 0 : step;
    fits = fits && (size[a] == 1 || size[a] == out[a]);
    step *= size[a];
  }
  return stride;
}

template <class A, class B, class F>
Status broadcast(const Array& a, const Array& b, Array& out, const std::vector<A>& x, const std::vector<A>& y,
                 std::vector<B>& z, F f) {
  Four n = four(out.shape);
  bool fits = true;
  Four sa = strides(a.shape, n, fits), sb = strides(b.shape, n, fits);
  if (!fits) return refuse("shapes do not broadcast");
  B* to = z.data();
  for (std::int64_t i = 0; i < n[0]; ++i)
    for (std::int64_t j = 0; j < n[1]; ++j)
      for (std::int64_t k = 0; k < n[2]; ++k) {
        const A* p = x.data() + i * sa[0] + j * sa[1] + k * sa[2];
        const A* q = y.data() + i * sb[0] + j * sb[1] + k * sb[2];
        if (sa[3] && sb[3])
          for (std::int64_t l = 0; l < n[3]; ++l) to[l] = f(p[l], q[l]);
        else if (sa[3])
          for (std::int64_t l = 0; l < n[3]; ++l) to[l] = f(p[l], *q);
        else if (sb[3])
          for (std::int64_t l = 0; l < n[3]; ++l) to[l] = f(*p, q[l]);
        else
          for (std::int64_t l = 0; l < n[3]; ++l) to[l] = f(*p, *q);
        to += n[3];
      }
  return ok();
}

template <class F>
Status arithmetic(In in, Out out, F f) {
  if (in.size() != 2 || !in[0].f != !in[1].f) return refuse("needs two operands of one type");
  if (in[0].f) return broadcast(in[0], in[1], out[0], *in[0].f, *in[1].f, floats(out[0]), f);
  return broadcast(in[0], in[1], out[0], *in[0].i, *in[1].i, ints(out[0]), f);
}

Status add(const PrimAttrs&, In in, Out out, DType) {
  return arithmetic(in, out, [](auto a, auto b) { return a + b; });
}
Status sub(const PrimAttrs&, In in, Out out, DType) {
  return arithmetic(in, out, [](auto a, auto b) { return a - b; });
}
Status mul(const PrimAttrs&, In in, Out out, DType) {
  return arithmetic(in, out, [](auto a, auto b) { return a * b; });
}
Status div(const PrimAttrs&, In in, Out out, DType) {
  if (in.size() == 2 && in[1].i && std::find(in[1].i->begin(), in[1].i->end(), 0) != in[1].i->end())
    return refuse("integer division by zero");
  return arithmetic(in, out, [](auto a, auto b) { return a / b; });
}
Status min(const PrimAttrs&, In in, Out out, DType) {
  return arithmetic(in, out, [](auto a, auto b) { return b < a ? b : a; });
}
Status max(const PrimAttrs&, In in, Out out, DType) {
  return arithmetic(in, out, [](auto a, auto b) { return a < b ? b : a; });
}

Status less(const PrimAttrs&, In in, Out out, DType) {
  if (in.size() != 2 || !in[0].i || !in[1].i) return refuse("needs two i32 operands");
  return broadcast(in[0], in[1], out[0], *in[0].i, *in[1].i, ints(out[0]),
                   [](auto a, auto b) { return a < b ? 1 : 0; });
}

Status select(const PrimAttrs&, In in, Out out, DType) {
  if (in.size() != 3 || !in[0].i || !in[1].f || !in[2].f) return refuse("needs a boolean and two floats");
  Four n = four(out[0].shape);
  bool fits = true;
  Four sc = strides(in[0].shape, n, fits), sa = strides(in[1].shape, n, fits), sb = strides(in[2].shape, n, fits);
  if (!fits) return refuse("shapes do not broadcast");
  float* to = floats(out[0]).data();
  for (std::int64_t i = 0; i < n[0]; ++i)
    for (std::int64_t j = 0; j < n[1]; ++j)
      for (std::int64_t k = 0; k < n[2]; ++k)
        for (std::int64_t l = 0; l < n[3]; ++l) {
          auto at = [&](const Four& s) { return static_cast<std::size_t>(i * s[0] + j * s[1] + k * s[2] + l * s[3]); };
          *to++ = (*in[0].i)[at(sc)] ? (*in[1].f)[at(sa)] : (*in[2].f)[at(sb)];
        }
  return ok();
}

template <class F>
Status each(In in, Out out, F f) {
  if (in.size() != 1 || !in[0].f) return refuse("needs one float operand");
  std::transform(in[0].f->begin(), in[0].f->end(), floats(out[0]).begin(), f);
  return ok();
}
Status exp(const PrimAttrs&, In in, Out out, DType) {
  return each(in, out, [](float x) { return std::exp(x); });
}
Status sqrt(const PrimAttrs&, In in, Out out, DType) {
  return each(in, out, [](float x) { return std::sqrt(x); });
}
Status softplus(const PrimAttrs&, In in, Out out, DType) {
  return each(in, out, [](float x) { return (x > 0 ? x : 0.0f) + std::log1p(std::exp(-std::abs(x))); });
}
Status silu(const PrimAttrs&, In in, Out out, DType) {
  return each(in, out, [](float x) { return x / (1 + std::exp(-x)); });
}

Status convert(const PrimAttrs&, In in, Out out, DType to) {
  const bool to_float = to == DType::f32 || to == DType::f16 || to == DType::bf16;
  auto narrow = [to](float x) {
    if (to == DType::f16) return round_to_half(x);
    if (to != DType::bf16 || std::isnan(x)) return x;
    auto u = std::bit_cast<std::uint32_t>(x);
    return std::bit_cast<float>((u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u);
  };
  if (to_float && in[0].f)
    std::transform(in[0].f->begin(), in[0].f->end(), floats(out[0]).begin(), narrow);
  else if (to_float)
    std::transform(in[0].i->begin(), in[0].i->end(), floats(out[0]).begin(),
                   [&](std::int32_t x) { return narrow(static_cast<float>(x)); });
  else if (in[0].f)
    std::transform(in[0].f->begin(), in[0].f->end(), ints(out[0]).begin(),
                   [](float x) { return static_cast<std::int32_t>(x); });
  else
    out[0].i = in[0].i;
  return ok();
}

// [rows, columns] -> [columns, rows]
void flip(const float* from, float* to, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}

Status matmul(const PrimAttrs& attrs, In in, Out out, DType) {
  if (in.size() != 2 || !in[0].f || !in[1].f) return refuse("needs two float operands");
  Four a = four(in[0].shape), b = four(in[1].shape), c = four(out[0].shape);
  const std::int64_t m = c[2], n = c[3], k = attrs.ta ? a[2] : a[3];
  if ((attrs.ta ? a[3] : a[2]) != m || (attrs.tb ? b[2] : b[3]) != n || (attrs.tb ? b[3] : b[2]) != k)
    return refuse("shapes do not fit");
  std::vector<float> turned(attrs.ta ? static_cast<std::size_t>(m * k) : 0);
  float* to = floats(out[0]).data();
  for (std::int64_t i = 0; i < c[0]; ++i)
    for (std::int64_t j = 0; j < c[1]; ++j) {
      auto lead = [&](const Four& s) { return (s[0] == 1 ? 0 : i) * s[1] + (s[1] == 1 ? 0 : j); };
      const float* x = in[0].f->data() + lead(a) * m * k;
      if (attrs.ta) {
        flip(x, turned.data(), k, m);
        x = turned.data();
      }
      sim::matmul(x, in[1].f->data() + lead(b) * k * n, to, m, n, k, attrs.tb != 0);
      to += m * n;
    }
  return ok();
}

// The array as [outer, n, inner] around an axis.
struct Around {
  std::int64_t outer = 1, n = 1, inner = 1;
};
Around around(const Array& a, std::int32_t axis) {
  Around r;
  for (std::size_t i = 0; i < a.shape.size(); ++i)
    (static_cast<std::int32_t>(i) < axis    ? r.outer
     : static_cast<std::int32_t>(i) == axis ? r.n
                                            : r.inner) *= a.shape[i];
  return r;
}

Status softmax(const PrimAttrs& attrs, In in, Out out, DType) {
  if (in.size() != 1 || !in[0].f) return refuse("needs one float operand");
  Around r = around(in[0], attrs.axis);
  const float* x = in[0].f->data();
  float* y = floats(out[0]).data();
  for (std::int64_t o = 0; o < r.outer; ++o)
    for (std::int64_t i = 0; i < r.inner; ++i) {
      const std::int64_t at = o * r.n * r.inner + i;
      float top = -INFINITY;
      for (std::int64_t k = 0; k < r.n; ++k) top = std::max(top, x[at + k * r.inner]);
      double sum = 0;
      for (std::int64_t k = 0; k < r.n; ++k) sum += y[at + k * r.inner] = std::exp(x[at + k * r.inner] - top);
      for (std::int64_t k = 0; k < r.n; ++k) y[at + k * r.inner] = static_cast<float>(y[at + k * r.inner] / sum);
    }
  return ok();
}

template <class F>
Status reduce(const PrimAttrs& attrs, In in, Out out, double start, F f, bool mean) {
  if (in.size() != 1 || !in[0].f) return refuse("needs one float operand");
  Around r = around(in[0], attrs.axis);
  float* y = floats(out[0]).data();
  for (std::int64_t o = 0; o < r.outer; ++o)
    for (std::int64_t i = 0; i < r.inner; ++i) {
      double sum = start;
      for (std::int64_t k = 0; k < r.n; ++k)
        sum = f(sum, (*in[0].f)[static_cast<std::size_t>((o * r.n + k) * r.inner + i)]);
      *y++ = static_cast<float>(mean ? sum / static_cast<double>(r.n) : sum);
    }
  return ok();
}
Status reduce_sum(const PrimAttrs& a, In in, Out out, DType) {
  return reduce(
      a, in, out, 0, [](double s, float x) { return s + x; }, false);
}
Status reduce_mean(const PrimAttrs& a, In in, Out out, DType) {
  return reduce(
      a, in, out, 0, [](double s, float x) { return s + x; }, true);
}
Status reduce_max(const PrimAttrs& a, In in, Out out, DType) {
  return reduce(
      a, in, out, -INFINITY, [](double s, float x) { return s < x ? x : s; }, false);
}

Status reshape(const PrimAttrs&, In in, Out out, DType) {
  if (in[0].count() != out[0].count()) return refuse("element counts differ");
  out[0].f = in[0].f;
  out[0].i = in[0].i;
  return ok();
}

template <class T>
void transpose_as(const PrimAttrs& attrs, const Array& in, Array& out) {
  const std::size_t rank = in.shape.size(), pad = 4 - rank;
  Four size = four(in.shape), step{}, moved{};
  for (std::int64_t i = 3, s = 1; i >= 0; --i) {
    step[static_cast<std::size_t>(i)] = s;
    s *= size[static_cast<std::size_t>(i)];
  }
  for (std::size_t i = 0; i < 4; ++i)
    moved[i] = i < pad ? step[i] : step[static_cast<std::size_t>(attrs.perm[i - pad]) + pad];
  Four n = four(out.shape);
  const T* from = data<T>(in).data();
  T* to = fresh<T>(out).data();
  for (std::int64_t i = 0; i < n[0]; ++i)
    for (std::int64_t j = 0; j < n[1]; ++j)
      for (std::int64_t k = 0; k < n[2]; ++k) {
        const T* p = from + i * moved[0] + j * moved[1] + k * moved[2];
        for (std::int64_t l = 0; l < n[3]; ++l) *to++ = p[l * moved[3]];
      }
}
Status transpose(const PrimAttrs& attrs, In in, Out out, DType) {
  if (in[0].f)
    transpose_as<float>(attrs, in[0], out[0]);
  else
    transpose_as<std::int32_t>(attrs, in[0], out[0]);
  return ok();
}

template <class T>
void concat_as(std::int32_t axis, In in, Array& out) {
  T* to = fresh<T>(out).data();
  Around whole = around(out, axis);
  for (std::int64_t o = 0; o < whole.outer; ++o)
    for (const Array& part : in) {
      Around r = around(part, axis);
      const T* from = data<T>(part).data() + o * r.n * r.inner;
      to = std::copy(from, from + r.n * r.inner, to);
    }
}
Status concat(const PrimAttrs& attrs, In in, Out out, DType) {
  std::int64_t sum = 0;
  for (const Array& a : in) sum += a.count();
  if (sum != out[0].count()) return refuse("element counts differ");
  if (in[0].f)
    concat_as<float>(attrs.axis, in, out[0]);
  else
    concat_as<std::int32_t>(attrs.axis, in, out[0]);
  return ok();
}

template <class T>
void slice_as(const PrimAttrs& attrs, const Array& in, Array& out) {
  T* to = fresh<T>(out).data();
  Around r = around(in, attrs.axis);
  for (std::int64_t o = 0; o < r.outer; ++o) {
    const T* from = data<T>(in).data() + (o * r.n + attrs.begin) * r.inner;
    to = std::copy(from, from + (attrs.end - attrs.begin) * r.inner, to);
  }
}
Status slice(const PrimAttrs& attrs, In in, Out out, DType) {
  Around r = around(in[0], attrs.axis);
  if (attrs.begin < 0 || attrs.end > r.n || r.outer * r.inner * (attrs.end - attrs.begin) != out[0].count())
    return refuse("bounds do not fit");
  if (in[0].f)
    slice_as<float>(attrs, in[0], out[0]);
  else
    slice_as<std::int32_t>(attrs, in[0], out[0]);
  return ok();
}

template <class T>
Status gather_as(const Array& in, const std::vector<std::int32_t>& index, Array& out) {
  T* to = fresh<T>(out).data();
  Around r = around(in, 0);
  for (std::int32_t i : index) {
    if (i < 0 || i >= r.n) return refuse("index " + std::to_string(i) + " is not in 0 to " + std::to_string(r.n - 1));
    const T* from = data<T>(in).data() + i * r.inner;
    to = std::copy(from, from + r.inner, to);
  }
  return ok();
}
Status gather(const PrimAttrs&, In in, Out out, DType) {
  if (in.size() != 2 || !in[1].i) return refuse("needs i32 indices");
  return in[0].f ? gather_as<float>(in[0], *in[1].i, out[0]) : gather_as<std::int32_t>(in[0], *in[1].i, out[0]);
}

Status topk(const PrimAttrs& attrs, In in, Out out, DType) {
  Around r = around(in[0], attrs.axis);
  if (!in[0].f || attrs.k > r.n) return refuse("needs floats and k up to " + std::to_string(r.n));
  float* best = floats(out[0]).data();
  std::int32_t* index = out.size() > 1 ? ints(out[1]).data() : nullptr;
  std::vector<std::int32_t> order(static_cast<std::size_t>(r.n));
  for (std::int64_t o = 0; o < r.outer; ++o)
    for (std::int64_t i = 0; i < r.inner; ++i) {
      auto at = [&](std::int32_t k) { return (*in[0].f)[static_cast<std::size_t>((o * r.n + k) * r.inner + i)]; };
      auto key = [&](std::int32_t k) { return std::isnan(at(k)) ? -INFINITY : at(k); };
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + attrs.k, order.end(),
                        [&](std::int32_t a, std::int32_t b) { return key(a) != key(b) ? key(a) > key(b) : a < b; });
      for (std::int64_t k = 0; k < attrs.k; ++k) {
        auto to = (o * attrs.k + k) * r.inner + i;
        best[to] = at(order[static_cast<std::size_t>(k)]);
        if (index) index[to] = order[static_cast<std::size_t>(k)];
      }
    }
  return ok();
}

Status one_hot(const PrimAttrs& attrs, In in, Out out, DType) {
  if (in.size() != 1 || !in[0].i) return refuse("needs i32 indices");
  float* to = floats(out[0]).data();
  for (std::int32_t i : *in[0].i) {
    if (i >= 0 && i < attrs.k) to[i] = 1;
    to += attrs.k;
  }
  return ok();
}

}  // namespace

Primitive find_primitive(std::string_view name) {
  static constexpr std::pair<std::string_view, Primitive> list[] = {{"prim.add", add},
                                                                    {"prim.sub", sub},
                                                                    {"prim.mul", mul},
                                                                    {"prim.div", div},
                                                                    {"prim.min", min},
                                                                    {"prim.max", max},
                                                                    {"prim.less", less},
                                                                    {"prim.select", select},
                                                                    {"prim.exp", exp},
                                                                    {"prim.sqrt", sqrt},
                                                                    {"prim.softplus", softplus},
                                                                    {"prim.silu", silu},
                                                                    {"prim.convert", convert},
                                                                    {"prim.matmul", matmul},
                                                                    {"prim.softmax", softmax},
                                                                    {"prim.reduce_sum", reduce_sum},
                                                                    {"prim.reduce_mean", reduce_mean},
                                                                    {"prim.reduce_max", reduce_max},
                                                                    {"prim.reshape", reshape},
                                                                    {"prim.transpose", transpose},
                                                                    {"prim.concat", concat},
                                                                    {"prim.slice", slice},
                                                                    {"prim.gather", gather},
                                                                    {"prim.topk", topk},
                                                                    {"prim.one_hot", one_hot}};
  for (const auto& [known, primitive] : list)
    if (known == name) return primitive;
  return nullptr;
}

}  // namespace switchyard::backends::sim
