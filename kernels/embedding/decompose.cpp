#include "kernels/embedding/embedding.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::embedding {

Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  std::uint32_t rows = g.of(n.in[1]);
  std::uint32_t y = s.constant(n.in[0]) ? g.weight_rows(n.in[0], rows) : g.gather(g.of(n.in[0]), rows);
  const float scale = n.attrs_as<Attrs>().scale;
  if (scale != 1.0f) y = g.mul(y, g.scalar(scale));
  g.set(n.out[0], y);
  return ok();
}

}  // namespace switchyard::kernels::embedding
