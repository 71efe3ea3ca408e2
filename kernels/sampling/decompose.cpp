#include "kernels/primitives.h"
#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::sampling {

std::optional<std::string> no_graph(const Segment&, const Node& n) {
  const auto a = n.attrs_as<Attrs>();
  if (a.temperature == 0) return std::nullopt;
  return "sampling@1: a graph takes the largest logit only (temperature 0), asked for temperature " +
         std::to_string(a.temperature);
}

Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  if (auto why = no_graph(s, n)) return Error{Code::unsupported, *why};
  g.set(n.out[0], g.reshape(g.topk(g.of(n.in[0]), 1, 1).second, {shape_of(s, n.in[0], 0)}));
  return ok();
}

}  // namespace switchyard::kernels::sampling
