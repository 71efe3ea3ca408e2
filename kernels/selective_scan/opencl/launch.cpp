#include "kernels/common/opencl/launch.h"

#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> selective_scan_selective_scan_cl;
}

namespace switchyard::kernels::selective_scan {
namespace {

using namespace opencl;

struct Params {
  Count sequences;
  std::int32_t channels, gated;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.channels), 64), count(p.sequences, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::selective_scan_selective_scan_cl;
  l.build_options = define("N", shape_of(s, n.in[3], 1));
  l.entry = "selective_scan";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[8]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[3], 0)),
                    n.in[7] != no_value});
  for (std::size_t i = 0; i < 9; ++i) l.arguments.push_back({n.in[i]});
  l.arguments.push_back({n.in[9], 0, 0, true});
  l.arguments.push_back({n.out[0], 0, 0, true});
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::selective_scan
