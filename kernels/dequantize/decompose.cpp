#include "kernels/dequantize/dequantize.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::dequantize {

Status decompose(const Segment&, const Node& n, GraphWriter& g) {
  g.set(n.out[0], g.weight(n.in[0]));
  return ok();
}

}  // namespace switchyard::kernels::dequantize
