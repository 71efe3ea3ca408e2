#include <algorithm>

#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/rounded_rows.h"
#include "kernels/common/cpu/tiles.h"
#include "kernels/common/round_rows.h"
#include "kernels/common/rows16.h"
#include "kernels/expert_gemm/cpu/params.h"
#include "kernels/expert_gemm/expert_gemm.h"

SY_CPU_DECLARE(f32, expert_plan)
SY_CPU_DECLARE(f32, expert_hidden)
SY_CPU_DECLARE(f32, expert_down)
SY_CPU_DECLARE(f32, expert_sum)
SY_CPU_DECLARE(int8, expert_hidden_int8)
SY_CPU_DECLARE(int8, expert_down_int8)
SY_CPU_DECLARE(bf16, expert_hidden_bf16)
SY_CPU_DECLARE(bf16, expert_down_bf16)

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

// One lowering for both forms; they differ in who multiplies, and in how rows lie between the launches.
struct Calls {
  hal::Call plan, hidden, down, sum;
};

Status lower_as(const Segment& s, std::uint32_t index, Lowered& lowered, const Calls& calls, const Rounding* rounding) {
  const bool rounded = rounding != nullptr;
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
  p.tile = rounded ? 32 : tile_columns(p.inner, p.width);
  p.down_tile = rounded ? 32 : tile_columns(p.width, p.inner);
  p.separate_up = n.in[4] != no_value;
  p.scale = n.attrs_as<Attrs>().scale;

  auto temporary = [&](DType dtype, std::vector<Dim> shape) {
    lowered.temporaries.push_back({dtype, std::move(shape)});
    return static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size() - 1);
  };
  auto x = n.in[0];
  if (rounded) {
    for (auto v : {n.in[3], n.in[4], n.in[5]}) HAL_CHECK(add_rows16(s, v, lowered));
    x = add_round_rows(s, x, *rounding, lowered);
  }
  auto plan = temporary(DType::i32, {Dim::fixed(plan_entries(p.slots) + rows.max * choices.max)});
  auto hidden = rounded ? temporary(DType::u8, {rows, choices, Dim::fixed(rounding->row_bytes(p.inner))})
                        : temporary(DType::f32, {rows, choices, Dim::fixed(p.inner)});
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
  const auto strip = static_cast<std::uint32_t>(hidden_strip * 32 * 4);
  launch("expert_plan", calls.plan, plan_grid, 0, {{n.in[1]}, {n.in[6]}, {plan, 0, 0, true}});
  launch("expert_hidden", calls.hidden, hidden_grid, rounded ? strip : tile_scratch(p.tile, p.width, true),
         {{x}, {n.in[3]}, {n.in[4]}, {plan}, {hidden, 0, 0, true}});
  launch("expert_down", calls.down, down_grid, rounded ? 0 : tile_scratch(p.down_tile, p.inner, false),
         {{hidden}, {n.in[5]}, {plan}, {parts, 0, 0, true}});
  launch("expert_sum", calls.sum, sum_grid, 0,
         {{n.in[1]}, {n.in[2]}, {n.in[6]}, {parts}, {n.in[7]}, {n.out[0], 0, 0, true}});
  return ok();
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto plan = SY_CPU_TABLE(f32, expert_plan);
  static constexpr auto hidden = SY_CPU_TABLE(f32, expert_hidden);
  static constexpr auto down = SY_CPU_TABLE(f32, expert_down);
  static constexpr auto sum = SY_CPU_TABLE(f32, expert_sum);
  return lower_as(s, index, lowered, {plan[I], hidden[I], down[I], sum[I]}, nullptr);
}

// The launches before and after the products are those of the best f32 set.
Status lower_rounded(const Segment& s, std::uint32_t index, const Info& info, hal::Call hidden, hal::Call down,
                     const Rounding& rounding, Lowered& lowered) {
  static constexpr auto plan = SY_CPU_TABLE(f32, expert_plan);
  static constexpr auto sum = SY_CPU_TABLE(f32, expert_sum);
  const auto other = static_cast<std::size_t>(isa_of(info));
  return lower_as(s, index, lowered, {plan[other], hidden, down, sum[other]}, &rounding);
}
template <int I>
Status lower_int8(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  static constexpr auto hidden = SY_CPU_TABLE(int8, expert_hidden_int8);
  static constexpr auto down = SY_CPU_TABLE(int8, expert_down_int8);
  return lower_rounded(s, index, info, hidden[I], down[I], rounding_int8(I), lowered);
}
template <int I>
Status lower_bf16(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  static constexpr auto hidden = SY_CPU_TABLE(bf16, expert_hidden_bf16);
  static constexpr auto down = SY_CPU_TABLE(bf16, expert_down_bf16);
  return lower_rounded(s, index, info, hidden[I], down[I], rounding_bf16(I), lowered);
}

std::optional<std::string> refuse_form(const Segment& s, const Node& n, const Info& info, const char* form) {
  if (shape_of(s, n.in[5], 2) % 32 != 0) return "the inner dimension is no multiple of 32";
  return refuse_rounded(s, n, info, {n.in[3], n.in[4], n.in[5]}, form);
}
std::optional<std::string> refuse_int8(const Segment& s, const Node& n, const Info& info) {
  return refuse_form(s, n, info, "int8");
}
std::optional<std::string> refuse_bf16(const Segment& s, const Node& n, const Info& info) {
  return refuse_form(s, n, info, "bf16");
}

// Weights that other nodes keep as rows16 are not there in their own form.
std::optional<std::string> refuse_exact(const Segment& s, const Node& n, const Info& info) {
  if (!n.variant.empty() || (refuse_int8(s, n, info) && refuse_bf16(s, n, info))) return std::nullopt;
  return "the weights are kept for rounded activations";
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) {
  SY_CPU_KERNELS(bf16, list, refuse_bf16, lower_bf16);
  SY_CPU_KERNELS(int8, list, refuse_int8, lower_int8);
  SY_CPU_KERNELS(f32, list, refuse_exact, lower);
}

}  // namespace switchyard::kernels::expert_gemm
