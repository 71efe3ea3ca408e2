#include "kernels/common/vulkan/launch.h"

#include "kernels/add/add.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> add_add_comp;
}

namespace switchyard::kernels::add {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t columns;
  std::int32_t rows_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(at(dims, p.rows_symbol) * p.columns, 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[0], "a");
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::add_add_comp;
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)), symbol_of(s, n.in[0])});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::add
