#include "kernels/attention/attention.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::attention {

// Scores over the window (one page) and over the new rows are joined, not keys: no scatter and no copy of the window in
// the graph. Heads that share a key head are rows of one matmul. The mask is a number: an infinite one would make NaN.
Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  HAL_CHECK(g.step(n.in[3], n.in[0], n.in[4]));
  const auto a = n.attrs_as<Attrs>();
  const std::int64_t t = shape_of(s, n.in[0], 0), nk = a.kv_heads, r = a.heads / a.kv_heads, d = a.head_dim;
  const std::int64_t window = shape_of(s, n.in[5], 1);
  constexpr float lowest = -65504.0f;

  std::uint32_t q = g.reshape(g.mul(g.of(n.in[0]), g.scalar(a.scale)), {t, nk, r, d});
  q = g.reshape(g.transpose(q, {1, 2, 0, 3}), {nk, r * t, d});
  auto rows_of = [&](std::uint32_t source, std::uint32_t pages) {  // as the cache keeps them
    std::uint32_t v = g.reshape(g.of(source), {t, nk, d});
    g.page_rows(pages, v);
    return g.convert(g.convert(v, s.values[pages].dtype), DType::f32);
  };
  auto by_head = [&](std::uint32_t v) { return g.transpose(v, {1, 0, 2}); };
  std::uint32_t k = by_head(rows_of(n.in[1], n.in[5])), v = by_head(rows_of(n.in[2], n.in[6]));
  std::uint32_t k_past = by_head(g.page(n.in[5])), v_past = by_head(g.page(n.in[6]));

  std::uint32_t known = g.select(g.less(g.iota({1, 1, window}), g.past()), g.scalar(0), g.scalar(lowest));
  std::uint32_t past = g.add(g.matmul(q, k_past, false, true), known);
  std::uint32_t fresh = g.matmul(q, k, false, true);
  if (t > 1) {
    std::vector<float> mask(static_cast<std::size_t>(t * t), lowest);
    for (std::int64_t i = 0; i < t; ++i)
      for (std::int64_t j = 0; j <= i; ++j) mask[static_cast<std::size_t>(i * t + j)] = 0;
    fresh = g.reshape(g.add(g.reshape(fresh, {nk, r, t, t}), g.constant({t, t}, mask)), {nk, r * t, t});
  }
  std::uint32_t p = g.softmax(g.concat({past, fresh}, 2), 2);
  std::uint32_t y = g.add(g.matmul(g.slice(p, 2, 0, window), v_past, false, false),
                          g.matmul(g.slice(p, 2, window, window + t), v, false, false));
  y = g.transpose(g.reshape(y, {nk, r, t, d}), {2, 0, 1, 3});
  g.set(n.out[0], g.reshape(y, {t, nk * r * d}));
  return ok();
}

}  // namespace switchyard::kernels::attention
