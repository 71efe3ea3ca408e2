#include "kernels/add/add.h"
#include "kernels/add/cpu/params.h"
#include "kernels/common/cpu/isa.h"

SY_CPU_DECLARE(f32, add)

namespace switchyard::kernels::add {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(row_count(l.args_as<CpuParams>().rows, dims.data())), 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, add);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "add";
  l.grid = grid;
  l.set_args(CpuParams{cpu_rows(s.values[n.in[0]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[0], 1))});
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, nullptr, lower); }

}  // namespace switchyard::kernels::add
