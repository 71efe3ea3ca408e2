#include "kernels/common/vulkan/launch.h"

#include "kernels/causal_conv1d/causal_conv1d.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> causal_conv1d_causal_conv1d_comp;
}

namespace switchyard::kernels::causal_conv1d {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t channels, x_columns, x_offset;
  std::int32_t sequences_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(at(dims, p.sequences_symbol) * p.channels, 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  return first_of(refuse_symbol(s, n.in[3], "sequences"), refuse_binding(s, n.in[4], info, "window"));
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::causal_conv1d_causal_conv1d_comp;
  l.group = {64, 1, 1};
  l.grid = grid;
  l.spec = {static_cast<std::uint32_t>(shape_of(s, n.in[1], 1)), n.in[2] != no_value};
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[1], 0)),
                    static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)),
                    static_cast<std::uint32_t>(n.attrs_as<Attrs>().x_offset), symbol_of(s, n.in[3])});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4], 0, 0, true}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::causal_conv1d
