#include "kernels/gemm/gemm.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::gemm {

Status decompose(const Segment&, const Node& n, GraphWriter& g) {
  std::uint32_t x = g.of(n.in[0]);
  std::uint32_t y = g.matmul(x, g.weight(n.in[1]), false, true);
  if (n.in[2] != no_value) y = g.mul(g.silu(y), g.matmul(x, g.weight(n.in[2]), false, true));
  if (n.in[3] != no_value) y = g.add(y, g.of(n.in[3]));
  const float scale = n.attrs_as<Attrs>().scale;
  if (scale != 1.0f) y = g.mul(y, g.scalar(scale));
  if (n.in[4] != no_value) y = g.add(g.of(n.in[4]), y);
  g.set(n.out[0], y);
  return ok();
}

}  // namespace switchyard::kernels::gemm
