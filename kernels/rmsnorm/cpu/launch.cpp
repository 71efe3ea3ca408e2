#include "kernels/common/cpu/isa.h"
#include "kernels/rmsnorm/cpu/params.h"
#include "kernels/rmsnorm/rmsnorm.h"

SY_CPU_DECLARE(f32, rmsnorm)

namespace switchyard::kernels::rmsnorm {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(dims[static_cast<std::size_t>(l.args_as<CpuParams>().rows_symbol)]), 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[0], "x");
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, rmsnorm);
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  Launch l;
  l.call = table[I];
  l.entry = "rmsnorm";
  l.grid = grid;
  CpuParams p{};
  p.rows_symbol = s.values[n.in[0]].shape[0].symbol;
  p.width = static_cast<std::int32_t>(shape_of(s, n.in[0], 1));
  p.gate_width = n.in[2] == no_value ? 0 : static_cast<std::int32_t>(shape_of(s, n.in[2], 1));
  p.groups = at.groups;
  p.gate_offset = at.gate_offset;
  p.eps = at.eps;
  l.set_args(p);
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::rmsnorm
