#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/tiles.h"
#include "kernels/gemm/cpu/params.h"
#include "kernels/gemm/gemm.h"

SY_CPU_DECLARE(gemm)

namespace switchyard::kernels::gemm {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<CpuParams>();
  return {row_count(p.rows, dims.data()) > 0 ? (p.n + p.tile - 1) / p.tile : 0, 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr hal::Call table[] = SY_CPU_TABLE(gemm);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "gemm";
  l.grid = grid;
  CpuParams p{};
  p.k = static_cast<std::uint32_t>(shape_of(s, n.in[1], 1));
  p.n = static_cast<std::uint32_t>(shape_of(s, n.in[1], 0));
  p.rows = cpu_rows(s.values[n.in[0]].shape[0]);
  p.dtype = static_cast<std::uint32_t>(s.values[n.in[1]].dtype);
  p.tile = tile_columns(p.n, p.k);
  p.scale = n.attrs_as<Attrs>().scale;
  l.set_args(p);
  l.thread_scratch = tile_scratch(p.tile, p.k, n.in[2] != no_value);
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(list, nullptr, lower); }

}  // namespace switchyard::kernels::gemm
