#include "kernels/common/vulkan/launch.h"

#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> rmsnorm_rmsnorm_comp;
}

namespace switchyard::kernels::rmsnorm {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t columns, groups, gate_columns, gate_offset;
  std::int32_t rows_symbol;
  float eps;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(at(dims, p.rows_symbol) * p.groups);
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[0], "x");
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto a = n.attrs_as<Attrs>();
  const bool gated = n.in[2] != no_value;
  Launch l;
  l.code = embedded::rmsnorm_rmsnorm_comp;
  l.group = {64, 1, 1};
  l.group_memory = 4 * (64 + 8);
  l.grid = grid;
  l.spec = {gated};
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)), static_cast<std::uint32_t>(a.groups),
                    gated ? static_cast<std::uint32_t>(shape_of(s, n.in[2], 1)) : 0,
                    static_cast<std::uint32_t>(a.gate_offset), symbol_of(s, n.in[0]), a.eps});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::rmsnorm
