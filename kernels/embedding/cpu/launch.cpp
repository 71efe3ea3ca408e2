#include "kernels/common/cpu/isa.h"
#include "kernels/common/rows16.h"
#include "kernels/embedding/cpu/params.h"
#include "kernels/embedding/embedding.h"

SY_CPU_DECLARE(f32, embedding)

namespace switchyard::kernels::embedding {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  std::int64_t rows = row_count(l.args_as<CpuParams>().rows, dims.data());
  return {static_cast<std::uint32_t>((rows + rows_per_tile - 1) / rows_per_tile), 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, embedding);
  const Node& n = s.nodes[index];
  Launch l;
  l.call = table[I];
  l.entry = "embedding";
  l.grid = grid;
  CpuParams p{};
  p.rows = cpu_rows(s.values[n.in[1]].shape[0]);
  p.width = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  p.dtype = static_cast<std::uint32_t>(s.values[n.in[0]].dtype);
  p.scale = n.attrs_as<Attrs>().scale;
  if (kept_as_rows16(s, n.in[0], info)) {
    HAL_CHECK(add_rows16(s, n.in[0], lowered));
    p.group_bytes = static_cast<std::uint32_t>(rows16_group_bytes(s.values[n.in[0]].dtype, p.width));
  }
  l.set_args(p);
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, nullptr, lower); }

}  // namespace switchyard::kernels::embedding
