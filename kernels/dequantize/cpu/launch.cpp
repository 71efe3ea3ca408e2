#include <algorithm>

#include "kernels/common/cpu/isa.h"
#include "kernels/dequantize/cpu/params.h"
#include "kernels/dequantize/dequantize.h"

SY_CPU_DECLARE(f32, dequantize)

namespace switchyard::kernels::dequantize {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims) {
  auto p = l.args_as<CpuParams>();
  return {(p.rows + p.rows_per_tile - 1) / p.rows_per_tile, 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, dequantize);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "dequantize";
  l.grid = grid;
  CpuParams p{};
  p.rows = static_cast<std::uint32_t>(shape_of(s, n.in[0], 0));
  p.columns = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  p.dtype = static_cast<std::uint32_t>(s.values[n.in[0]].dtype);
  p.rows_per_tile = std::max(1u, 16384 / p.columns);
  l.set_args(p);
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, nullptr, lower); }

}  // namespace switchyard::kernels::dequantize
