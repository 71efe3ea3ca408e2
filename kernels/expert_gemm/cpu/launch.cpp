#include <algorithm>

#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/tiles.h"
#include "kernels/expert_gemm/cpu/params.h"
#include "kernels/expert_gemm/expert_gemm.h"

SY_CPU_DECLARE(expert_plan)
SY_CPU_DECLARE(expert_hidden)
SY_CPU_DECLARE(expert_down)
SY_CPU_DECLARE(expert_sum)

namespace switchyard::kernels::expert_gemm {
namespace {

using Grid = std::array<std::uint32_t, 3>;

std::int64_t rows_of(const CpuParams& p, Dims dims) { return row_count(p.rows, dims.data()); }

// Tiles for as many experts as can have rows; those beyond the plan's count find nothing to do.
Grid grid_of(const CpuParams& p, Dims dims, std::uint32_t n, std::uint32_t tile) {
  auto active = std::min<std::int64_t>(p.slots, rows_of(p, dims) * p.k);
  return {static_cast<std::uint32_t>(active) * ((n + tile - 1) / tile), 1, 1};
}
Grid plan_grid(const Launch& l, Dims dims) { return {rows_of(l.args_as<CpuParams>(), dims) > 0 ? 1u : 0u, 1, 1}; }
Grid hidden_grid(const Launch& l, Dims dims) {
  auto p = l.args_as<CpuParams>();
  return grid_of(p, dims, p.inner, p.tile);
}
Grid down_grid(const Launch& l, Dims dims) {
  auto p = l.args_as<CpuParams>();
  return grid_of(p, dims, p.width, p.down_tile);
}
Grid sum_grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(rows_of(l.args_as<CpuParams>(), dims)), 1, 1};
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr hal::Call plan_table[] = SY_CPU_TABLE(expert_plan);
  static constexpr hal::Call hidden_table[] = SY_CPU_TABLE(expert_hidden);
  static constexpr hal::Call down_table[] = SY_CPU_TABLE(expert_down);
  static constexpr hal::Call sum_table[] = SY_CPU_TABLE(expert_sum);
  const Node& n = s.nodes[index];
  const Dim rows = s.values[n.in[0]].shape[0], choices = s.values[n.in[1]].shape[1];
  CpuParams p{};
  p.rows = cpu_rows(rows);
  p.k = static_cast<std::uint32_t>(choices.max);
  p.slots = static_cast<std::uint32_t>(shape_of(s, n.in[5], 0));
  p.width = static_cast<std::uint32_t>(shape_of(s, n.in[5], 1));
  p.inner = static_cast<std::uint32_t>(shape_of(s, n.in[5], 2));
  p.dtype = static_cast<std::uint32_t>(s.values[n.in[3]].dtype);
  p.down_dtype = static_cast<std::uint32_t>(s.values[n.in[5]].dtype);
  p.tile = tile_columns(p.inner, p.width);
  p.down_tile = tile_columns(p.width, p.inner);
  p.separate_up = n.in[4] != no_value;
  p.scale = n.attrs_as<Attrs>().scale;

  auto temporary = [&](DType dtype, std::vector<Dim> shape) {
    lowered.temporaries.push_back({dtype, std::move(shape)});
    return static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size() - 1);
  };
  auto plan = temporary(DType::i32, {Dim::fixed(plan_entries(p.slots) + rows.max * choices.max)});
  auto hidden = temporary(DType::f32, {rows, choices, Dim::fixed(p.inner)});
  auto parts = temporary(DType::f32, {rows, choices, Dim::fixed(p.width)});

  auto launch = [&](const char* entry, hal::Call call, Grid (*grid)(const Launch&, Dims), std::uint32_t scratch,
                    std::vector<Arg> arguments) {
    Launch l;
    l.call = call;
    l.entry = entry;
    l.grid = grid;
    l.set_args(p);
    l.thread_scratch = scratch;
    l.arguments = std::move(arguments);
    lowered.launches.push_back(std::move(l));
  };
  launch("expert_plan", plan_table[I], plan_grid, 0, {{n.in[1]}, {n.in[6]}, {plan, 0, 0, true}});
  launch("expert_hidden", hidden_table[I], hidden_grid, tile_scratch(p.tile, p.width, true),
         {{n.in[0]}, {n.in[3]}, {n.in[4]}, {plan}, {hidden, 0, 0, true}});
  launch("expert_down", down_table[I], down_grid, tile_scratch(p.down_tile, p.inner, false),
         {{hidden}, {n.in[5]}, {plan}, {parts, 0, 0, true}});
  launch("expert_sum", sum_table[I], sum_grid, 0,
         {{n.in[1]}, {n.in[2]}, {n.in[6]}, {parts}, {n.in[7]}, {n.out[0], 0, 0, true}});
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(list, nullptr, lower); }

}  // namespace switchyard::kernels::expert_gemm
