#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/tiles.h"
#include "kernels/common/round_rows.h"
#include "kernels/common/rows16.h"
#include "kernels/gemm/cpu/params.h"
#include "kernels/gemm/gemm.h"

SY_CPU_DECLARE(f32, gemm)
SY_CPU_DECLARE(int8, gemm_int8)
SY_CPU_DECLARE(bf16, gemm_bf16)

namespace switchyard::kernels::gemm {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<CpuParams>();
  return {row_count(p.rows, dims.data()) > 0 ? (p.n + p.tile - 1) / p.tile : 0, 1, 1};
}

// One launch for both forms; x: the rows, or the temporary that holds them rounded.
Launch launch_of(const Segment& s, const Node& n, const char* entry, hal::Call call, std::uint32_t x) {
  Launch l;
  l.call = call;
  l.entry = entry;
  l.grid = grid;
  CpuParams p{};
  p.k = static_cast<std::uint32_t>(shape_of(s, n.in[1], 1));
  p.n = static_cast<std::uint32_t>(shape_of(s, n.in[1], 0));
  p.rows = cpu_rows(s.values[n.in[0]].shape[0]);
  p.dtype = static_cast<std::uint32_t>(s.values[n.in[1]].dtype);
  const bool rounded = x != n.in[0], swiglu = n.in[2] != no_value;
  p.tile = !rounded ? tile_columns(p.n, p.k) : swiglu ? 16 : 32;
  p.scale = n.attrs_as<Attrs>().scale;
  l.set_args(p);
  l.thread_scratch = rounded ? 0 : tile_scratch(p.tile, p.k, swiglu);
  l.arguments = {{x}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.out[0], 0, 0, true}};
  return l;
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, gemm);
  const Node& n = s.nodes[index];
  lowered.launches.push_back(launch_of(s, n, "gemm", table[I], n.in[0]));
  return ok();
}

// A weight that other nodes keep as rows16 is not there in its own form.
std::optional<std::string> refuse_exact(const Segment& s, const Node& n, const Info& info) {
  for (auto v : {n.in[1], n.in[2]})
    if (kept_as_rows16(s, v, info)) return "the weights are kept for rounded activations";
  return std::nullopt;
}

std::optional<std::string> refuse_int8(const Segment& s, const Node& n, const Info& info) {
  return refuse_rounded(s, n, info, {n.in[1], n.in[2]}, "int8");
}
std::optional<std::string> refuse_bf16(const Segment& s, const Node& n, const Info& info) {
  return refuse_rounded(s, n, info, {n.in[1], n.in[2]}, "bf16");
}

Status lower_rounded(const Segment& s, std::uint32_t index, const char* entry, hal::Call call, const Rounding& rounding,
                     Lowered& lowered) {
  const Node& n = s.nodes[index];
  HAL_CHECK(add_rows16(s, n.in[1], lowered));
  HAL_CHECK(add_rows16(s, n.in[2], lowered));
  const auto rounded = add_round_rows(s, n.in[0], rounding, lowered);
  lowered.launches.push_back(launch_of(s, n, entry, call, rounded));
  return ok();
}
template <int I>
Status lower_int8(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(int8, gemm_int8);
  return lower_rounded(s, index, "gemm_int8", table[I], rounding_int8(I), lowered);
}
template <int I>
Status lower_bf16(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(bf16, gemm_bf16);
  return lower_rounded(s, index, "gemm_bf16", table[I], rounding_bf16(I), lowered);
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) {
  SY_CPU_KERNELS(bf16, list, refuse_bf16, lower_bf16);
  SY_CPU_KERNELS(int8, list, refuse_int8, lower_int8);
  SY_CPU_KERNELS(f32, list, refuse_exact, lower);
}

}  // namespace switchyard::kernels::gemm
