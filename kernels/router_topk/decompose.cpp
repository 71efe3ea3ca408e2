#include "kernels/primitives.h"
#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::router_topk {

Status decompose(const Segment&, const Node& n, GraphWriter& g) {
  auto [best, index] = g.topk(g.of(n.in[0]), 1, n.attrs_as<Attrs>().k);
  g.set(n.out[0], index);
  g.set(n.out[1], g.softmax(best, 1));
  return ok();
}

}  // namespace switchyard::kernels::router_topk
