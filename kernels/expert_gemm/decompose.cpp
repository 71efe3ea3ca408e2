#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::expert_gemm {

// Dense over the experts here: two plain matmuls with the router's weight between them; the second one sums over
// experts. Every expert is computed for every row, which a graph without branches cannot avoid.
Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  const auto a = n.attrs_as<Attrs>();
  const std::int64_t t = shape_of(s, n.in[0], 0), d = shape_of(s, n.in[0], 1), k = shape_of(s, n.in[1], 1);
  const std::int64_t experts = shape_of(s, n.in[3], 0), inner = shape_of(s, n.in[5], 2);
  std::uint32_t index = g.of(n.in[1]), gate = g.of(n.in[2]);
  if (n.in[6] !=
      no_value) {  // -1: on another device. A negative index is undefined in graphs, so its weight is taken instead
    std::uint32_t zero = g.constant({1}, std::vector<std::int32_t>{0});
    index = g.gather(g.of(n.in[6]), index);
    gate = g.select(g.less(index, zero), g.scalar(0), gate);
    index = g.max(index, zero);
  }
  std::uint32_t weights =
      g.reduce("reduce_sum", g.mul(g.one_hot(index, experts), g.reshape(gate, {t, k, 1})), 1);  // [T, 1, L]
  std::uint32_t x = g.of(n.in[0]), first, second;
  if (n.in[4] == no_value) {
    std::uint32_t u = g.matmul(x, g.reshape(g.weight(n.in[3]), {experts * 2 * inner, d}), false, true);
    u = g.reshape(u, {t, experts, 2 * inner});
    first = g.slice(u, 2, 0, inner);
    second = g.slice(u, 2, inner, 2 * inner);
  } else {
    auto project = [&](std::uint32_t w) {
      return g.reshape(g.matmul(x, g.reshape(g.weight(w), {experts * inner, d}), false, true), {t, experts, inner});
    };
    first = project(n.in[3]);
    second = project(n.in[4]);
  }
  std::uint32_t h = g.mul(g.mul(g.silu(first), second), g.reshape(weights, {t, experts, 1}));
  std::uint32_t down = g.reshape(g.weight_swapped(n.in[5]), {d, experts * inner});
  std::uint32_t y = g.matmul(g.reshape(h, {t, experts * inner}), down, false, true);
  if (a.scale != 1.0f) y = g.mul(y, g.scalar(a.scale));
  if (n.in[7] != no_value) y = g.add(g.of(n.in[7]), y);
  g.set(n.out[0], y);
  return ok();
}

}  // namespace switchyard::kernels::expert_gemm
