#include "kernels/common/opencl/launch.h"

#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> rmsnorm_rmsnorm_cl;
}

namespace switchyard::kernels::rmsnorm {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t d, groups, gate_width, gate_offset;
  float eps;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {static_cast<std::uint32_t>(p.groups), count(p.rows, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  const bool gated = n.in[2] != no_value;
  Launch l;
  l.code = embedded::rmsnorm_rmsnorm_cl;
  l.build_options = define("GATED", gated);
  l.entry = "rmsnorm";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[0], 1)),
                    gated ? at.groups : 1, gated ? static_cast<std::int32_t>(shape_of(s, n.in[2], 1)) : 0,
                    gated ? at.gate_offset : 0, at.eps});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::rmsnorm
