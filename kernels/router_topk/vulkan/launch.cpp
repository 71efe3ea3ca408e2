#include "kernels/common/vulkan/launch.h"

#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> router_topk_router_topk_comp;
}

namespace switchyard::kernels::router_topk {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t experts;
  std::int32_t rows_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return groups(at(dims, l.args_as<Params>().rows_symbol));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (auto k = n.attrs_as<Attrs>().k; k > 1024)
    return "k is " + std::to_string(k) + ", this kernel keeps at most 1024 in workgroup memory";
  return refuse_symbol(s, n.in[0], "logits");
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto k = static_cast<std::uint32_t>(n.attrs_as<Attrs>().k);
  Launch l;
  l.code = embedded::router_topk_router_topk_comp;
  l.group = {32, 1, 1};
  l.group_memory = 4 * (64 + k);
  l.grid = grid;
  l.spec = {k};
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)), symbol_of(s, n.in[0])});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}, {n.out[1], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::router_topk
