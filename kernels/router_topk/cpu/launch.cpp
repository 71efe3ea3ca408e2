#include "kernels/common/cpu/isa.h"
#include "kernels/router_topk/cpu/params.h"
#include "kernels/router_topk/router_topk.h"

SY_CPU_DECLARE(f32, router_topk)

namespace switchyard::kernels::router_topk {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  std::int64_t rows = row_count(l.args_as<CpuParams>().rows, dims.data());
  return {static_cast<std::uint32_t>((rows + rows_per_tile - 1) / rows_per_tile), 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, router_topk);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "router_topk";
  l.grid = grid;
  CpuParams p{};
  p.rows = cpu_rows(s.values[n.in[0]].shape[0]);
  p.experts = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  p.k = static_cast<std::uint32_t>(n.attrs_as<Attrs>().k);
  l.set_args(p);
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}, {n.out[1], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, nullptr, lower); }

}  // namespace switchyard::kernels::router_topk
