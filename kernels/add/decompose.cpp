#include "kernels/add/add.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::add {

Status decompose(const Segment&, const Node& n, GraphWriter& g) {
  g.set(n.out[0], g.add(g.of(n.in[0]), g.of(n.in[1])));
  return ok();
}

}  // namespace switchyard::kernels::add
