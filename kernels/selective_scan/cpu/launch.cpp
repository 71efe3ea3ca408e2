#include "kernels/common/cpu/isa.h"
#include "kernels/selective_scan/cpu/params.h"
#include "kernels/selective_scan/selective_scan.h"

SY_CPU_DECLARE(f32, selective_scan)

namespace switchyard::kernels::selective_scan {
namespace {

constexpr std::int32_t block_channels = 32;

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  const auto p = l.args_as<CpuParams>();
  const auto blocks = static_cast<std::uint32_t>((p.channels + p.block - 1) / p.block);
  return {static_cast<std::uint32_t>(dims[static_cast<std::size_t>(p.sequences_symbol)]) * blocks, 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[8], "sequences");
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, selective_scan);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "selective_scan";
  l.grid = grid;
  l.set_args(CpuParams{s.values[n.in[8]].shape[0].symbol, static_cast<std::int32_t>(shape_of(s, n.in[3], 0)),
                       static_cast<std::int32_t>(shape_of(s, n.in[3], 1)), block_channels});
  for (std::size_t i = 0; i < 9; ++i) l.arguments.push_back({n.in[i]});
  l.arguments.push_back({n.in[9], 0, 0, true});
  l.arguments.push_back({n.out[0], 0, 0, true});
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::selective_scan
