#include "kernels/common/vulkan/launch.h"

#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> ssm_scan_ssm_scan_comp;
}

namespace switchyard::kernels::ssm_scan {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t heads, head_dim, groups, n, dt_columns, dt_offset, x_columns, tiles;
  std::int32_t sequences_symbol;
  float dt_min, dt_max;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(at(dims, p.sequences_symbol) * p.heads * p.tiles);
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  if (auto a = n.attrs_as<Attrs>(); a.state > 1024)
    return "state is " + std::to_string(a.state) + ", this kernel takes at most 1024";
  return first_of(refuse_symbol(s, n.in[5], "sequences"), refuse_binding(s, n.in[6], info, "state"));
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto a = n.attrs_as<Attrs>();
  const auto head_dim = static_cast<std::uint32_t>(a.head_dim), states = static_cast<std::uint32_t>(a.state);
  const std::uint32_t lanes_n = divide_up(states, 16), lanes_p = std::clamp(64 / lanes_n, 1u, divide_up(head_dim, 4)),
                      threads = lanes_n * lanes_p;
  Launch l;
  l.code = embedded::ssm_scan_ssm_scan_comp;
  l.group = {threads, 1, 1};
  l.group_memory = 4 * (8 * threads * 4 + 2 * 8);
  l.grid = grid;
  l.spec = {threads, lanes_n, lanes_p};
  Params p{static_cast<std::uint32_t>(a.heads),
           head_dim,
           static_cast<std::uint32_t>(a.groups),
           states,
           static_cast<std::uint32_t>(shape_of(s, n.in[1], 1)),
           static_cast<std::uint32_t>(a.dt_offset),
           static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)),
           divide_up(head_dim, 4 * lanes_p),
           symbol_of(s, n.in[5]),
           a.dt_min,
           a.dt_max};
  l.set_args(p);
  for (std::size_t i = 0; i < 6; ++i) l.arguments.push_back({n.in[i]});
  l.arguments.push_back({n.in[6], 0, 0, true});
  l.arguments.push_back({n.out[0], 0, 0, true});
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::ssm_scan
