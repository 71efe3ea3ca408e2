#include "kernels/common/opencl/launch.h"

#include "kernels/add/add.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> add_add_cl;
}

namespace switchyard::kernels::add {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t d;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.d), 64), count(p.rows, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::add_add_cl;
  l.entry = "add";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[0], 1))});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::add
