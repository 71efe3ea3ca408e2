#include "kernels/common/opencl/launch.h"

#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> ssm_scan_ssm_scan_cl;
}

namespace switchyard::kernels::ssm_scan {
namespace {

using namespace opencl;

struct Params {
  Count sequences;
  std::int32_t heads, head_dim, groups, dt_width, dt_offset;
  float dt_min, dt_max;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.heads * p.head_dim), 64), count(p.sequences, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  Launch l;
  l.code = embedded::ssm_scan_ssm_scan_cl;
  l.build_options = define("N", at.state);
  l.entry = "ssm_scan";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[5]].shape[0]), at.heads, at.head_dim, at.groups,
                    static_cast<std::int32_t>(shape_of(s, n.in[1], 1)), at.dt_offset, at.dt_min, at.dt_max});
  l.arguments = {
      {n.in[0]}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.in[5]}, {n.in[6], 0, 0, true}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::ssm_scan
