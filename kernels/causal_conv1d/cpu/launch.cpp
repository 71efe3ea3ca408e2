#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/cpu/params.h"
#include "kernels/common/cpu/isa.h"

SY_CPU_DECLARE(f32, causal_conv1d)

namespace switchyard::kernels::causal_conv1d {
namespace {

constexpr std::int32_t block_channels = 256;

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  const auto p = l.args_as<CpuParams>();
  const bool work = dims[static_cast<std::size_t>(p.sequences_symbol)] != 0;
  return {work ? static_cast<std::uint32_t>((p.channels + p.block - 1) / p.block) : 0, 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (!s.constant(n.in[1])) return "weight must be a constant: it is packed once";
  if (auto why = refuse_symbol(s, n.in[0], "x")) return why;
  return refuse_symbol(s, n.in[3], "sequences");
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, causal_conv1d);
  const Node& n = s.nodes[index];
  const auto channels = static_cast<std::size_t>(shape_of(s, n.in[1], 0)),
             taps = static_cast<std::size_t>(shape_of(s, n.in[1], 1));
  Launch l;
  l.call = table[I];
  l.entry = "causal_conv1d";
  l.grid = grid;
  l.set_args(CpuParams{s.values[n.in[0]].shape[0].symbol, s.values[n.in[3]].shape[0].symbol,
                       static_cast<std::int32_t>(shape_of(s, n.in[0], 1)), n.attrs_as<Attrs>().x_offset,
                       static_cast<std::int32_t>(channels), static_cast<std::int32_t>(taps), block_channels});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4], 0, 0, true}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  auto pack = [channels, taps](std::span<const std::span<const std::byte>> source,
                               std::span<std::byte> packed) -> Status {
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t j = 0; j < taps; ++j)
        std::memcpy(&packed[4 * (j * channels + c)], &source[0][4 * (c * taps + j)], 4);
    return ok();
  };
  lowered.packings.push_back({{n.in[1]}, "taps_first", 4 * channels * taps, pack});
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::causal_conv1d
