#include "kernels/common/opencl/launch.h"

#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> router_topk_router_topk_cl;
}

namespace switchyard::kernels::router_topk {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t experts;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) { return {count(l.args_as<Params>().rows, dims), 1, 1}; }

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::router_topk_router_topk_cl;
  l.build_options = define("K", n.attrs_as<Attrs>().k);
  l.entry = "router_topk";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[0], 1))});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}, {n.out[1], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::router_topk
