#include "kernels/common/cpu/isa.h"
#include "kernels/rope/cpu/params.h"
#include "kernels/rope/rope.h"

SY_CPU_DECLARE(f32, rope)

namespace switchyard::kernels::rope {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(dims[static_cast<std::size_t>(l.args_as<CpuParams>().rows_symbol)]), 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[0], "x");
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, rope);
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  Launch l;
  l.call = table[I];
  l.entry = "rope";
  l.grid = grid;
  l.thread_scratch = 4 * static_cast<std::uint32_t>(at.head_dim);
  l.set_args(CpuParams{s.values[n.in[0]].shape[0].symbol, at.heads, at.head_dim, at.interleaved});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::rope
