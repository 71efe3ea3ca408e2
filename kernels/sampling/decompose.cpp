#include "kernels/primitives.h"
#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::sampling {

Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  const auto a = n.attrs_as<Attrs>();
  if (a.temperature != 0)
    return Error{Code::unsupported,
                 "sampling@1: a graph takes the largest logit only (temperature 0), asked for temperature " +
                     std::to_string(a.temperature)};
  g.set(n.out[0], g.reshape(g.topk(g.of(n.in[0]), 1, 1).second, {shape_of(s, n.in[0], 0)}));
  return ok();
}

}  // namespace switchyard::kernels::sampling
