#include "kernels/common/vulkan/launch.h"

#include "kernels/rope/rope.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> rope_rope_comp;
}

namespace switchyard::kernels::rope {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t heads, head_dim, interleaved;
  std::int32_t rows_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(at(dims, p.rows_symbol) * p.heads * (p.head_dim / 2), 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[0], "x");
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto a = n.attrs_as<Attrs>();
  Launch l;
  l.code = embedded::rope_rope_comp;
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{static_cast<std::uint32_t>(a.heads), static_cast<std::uint32_t>(a.head_dim), a.interleaved != 0,
                    symbol_of(s, n.in[0])});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::rope
