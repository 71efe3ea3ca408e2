#include "kernels/common/vulkan/launch.h"

#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> selective_scan_selective_scan_comp;
}

namespace switchyard::kernels::selective_scan {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t channels;
  std::int32_t sequences_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(at(dims, p.sequences_symbol) * p.channels, 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  if (auto states = shape_of(s, n.in[3], 1); states > 256)
    return std::to_string(states) + " states per channel, this kernel keeps at most 256 in private memory";
  return first_of(refuse_symbol(s, n.in[8], "sequences"), refuse_binding(s, n.in[9], info, "state"));
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::selective_scan_selective_scan_comp;
  l.group = {64, 1, 1};
  l.grid = grid;
  l.spec = {static_cast<std::uint32_t>(shape_of(s, n.in[3], 1)), n.in[7] != no_value};
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)), symbol_of(s, n.in[8])});
  for (std::size_t i = 0; i < 9; ++i) l.arguments.push_back({n.in[i]});
  l.arguments.push_back({n.in[9], 0, 0, true});
  l.arguments.push_back({n.out[0], 0, 0, true});
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::selective_scan
