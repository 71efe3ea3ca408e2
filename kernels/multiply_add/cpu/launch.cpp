#include "kernels/common/cpu/isa.h"
#include "kernels/multiply_add/cpu/params.h"
#include "kernels/multiply_add/multiply_add.h"

SY_CPU_DECLARE(f32, multiply_add)
SY_CPU_DECLARE(int8, multiply_add_int8)
SY_CPU_DECLARE(bf16, multiply_add_bf16)

namespace switchyard::kernels::multiply_add {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(row_count(l.args_as<CpuParams>().rows, dims.data())), 1, 1};
}

Status lower_to(const Segment& s, std::uint32_t index, hal::Call call, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.call = call;
  l.entry = "multiply_add";
  l.grid = grid;
  l.set_args(CpuParams{cpu_rows(s.values[n.in[0]].shape[0]), static_cast<std::uint32_t>(n.attrs_as<Attrs>().products)});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}
template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(f32, multiply_add);
  return lower_to(s, index, table[I], lowered);
}
template <int I>
Status lower_int8(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(int8, multiply_add_int8);
  return lower_to(s, index, table[I], lowered);
}
template <int I>
Status lower_bf16(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto table = SY_CPU_TABLE(bf16, multiply_add_bf16);
  return lower_to(s, index, table[I], lowered);
}

template <Products kind>
std::optional<std::string> refuse(const Segment&, const Node& n, const Info&) {
  if (n.attrs_as<Attrs>().kind == kind) return std::nullopt;
  return std::string("products of ") + to_string(n.attrs_as<Attrs>().kind) + " are asked for";
}

// Where nothing multiplies pairs of bf16, f32 does.
std::optional<std::string> refuse_f32(const Segment& s, const Node& n, const Info& info) {
  return n.attrs_as<Attrs>().kind == Products::bf16 ? std::nullopt : refuse<Products::f32>(s, n, info);
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) {
  SY_CPU_KERNELS(bf16, list, refuse<Products::bf16>, lower_bf16);
  SY_CPU_KERNELS(int8, list, refuse<Products::int8>, lower_int8);
  SY_CPU_KERNELS(f32, list, refuse_f32, lower);
}

}  // namespace switchyard::kernels::multiply_add
