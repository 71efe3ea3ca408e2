#include <cmath>

#include "kernels/primitives.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::rmsnorm {

Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  const auto a = n.attrs_as<Attrs>();
  const std::int64_t rows = shape_of(s, n.in[0], 0), columns = shape_of(s, n.in[0], 1),
                     groups = a.groups < 1 ? 1 : a.groups;
  std::uint32_t x = g.of(n.in[0]);
  if (n.in.size() > 2 && n.in[2] != no_value)
    x = g.mul(x, g.silu(g.slice(g.of(n.in[2]), 1, a.gate_offset, a.gate_offset + columns)));
  std::uint32_t y = groups > 1 ? g.reshape(x, {rows, groups, columns / groups}) : x;
  if (g.arithmetic() == Arithmetic::f16) {
    // In half the square overflows from 256 on: divide by the largest magnitude first.
    std::uint32_t top = g.max(g.reduce("reduce_max", g.max(y, g.mul(y, g.scalar(-1))), -1), g.scalar(0x1p-14f));
    y = g.div(y, top);
    std::uint32_t e = g.div(g.scalar(std::sqrt(a.eps)), top);
    y = g.div(y, g.sqrt(g.add(g.reduce("reduce_mean", g.mul(y, y), -1), g.mul(e, e))));
  } else {
    y = g.div(y, g.sqrt(g.add(g.reduce("reduce_mean", g.mul(y, y), -1), g.scalar(a.eps))));
  }
  g.set(n.out[0], g.mul(g.reshape(y, {rows, columns}), g.of(n.in[1])));
  return ok();
}

}  // namespace switchyard::kernels::rmsnorm
