#include <algorithm>

#include "kernels/common/cpu/isa.h"
#include "kernels/sampling/cpu/params.h"
#include "kernels/sampling/sampling.h"

SY_CPU_DECLARE(f32, sampling)

namespace switchyard::kernels::sampling {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(row_count(l.args_as<CpuParams>().rows, dims.data())), 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, sampling);
  const Node& n = s.nodes[index];
  const Attrs attrs = n.attrs_as<Attrs>();
  Launch l;
  l.call = table[I];
  l.entry = "sampling";
  l.grid = grid;
  CpuParams p{};
  p.rows = cpu_rows(s.values[n.in[0]].shape[0]);
  p.vocabulary = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  p.top_k = attrs.top_k;
  p.temperature = attrs.temperature;
  p.top_p = attrs.top_p;
  l.set_args(p);
  // Token ids in the order of their logits, as many as may be drawn.
  if (attrs.temperature > 0)
    l.thread_scratch =
        4 * (attrs.top_k > 0 ? std::min(p.vocabulary, static_cast<std::uint32_t>(attrs.top_k)) : p.vocabulary);
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, nullptr, lower); }

}  // namespace switchyard::kernels::sampling
