#include "kernels/multiply_add/multiply_add.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::multiply_add {

// A graph compiler folds a loop of constants anyway.
Status decompose(const Segment&, const Node& n, GraphWriter& g) {
  g.set(n.out[0], g.mul(g.of(n.in[0]), g.scalar(static_cast<float>(n.attrs_as<Attrs>().products))));
  return ok();
}

}  // namespace switchyard::kernels::multiply_add
