#include "kernels/common/cpu/isa.h"
#include "kernels/ssm_scan/cpu/params.h"
#include "kernels/ssm_scan/ssm_scan.h"

SY_CPU_DECLARE(f32, ssm_scan)
SY_CPU_DECLARE(f32, ssm_scan_products)

namespace switchyard::kernels::ssm_scan {
namespace {

// 32 rows of 128 states are 16 KiB: they fit any first cache, and a step of one sequence still makes two tiles per
// head.
constexpr std::int32_t block_rows = 32;

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  const auto p = l.args_as<CpuParams>();
  const auto blocks = static_cast<std::uint32_t>(p.heads * ((p.head_dim + p.block - 1) / p.block));
  return {static_cast<std::uint32_t>(dims[static_cast<std::size_t>(p.sequences_symbol)]) * blocks, 1, 1};
}

std::array<std::uint32_t, 3> products_grid(const Launch& l, Dims dims) {
  const std::int64_t rows = row_count(l.args_as<CpuParams>().rows, dims.data());
  return {rows > step_order_rows ? static_cast<std::uint32_t>(rows) : 0, 1, 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  return refuse_symbol(s, n.in[5], "sequences");
}

template <int I>
Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  static constexpr auto scan = SY_CPU_TABLE(f32, ssm_scan);
  static constexpr auto products_call = SY_CPU_TABLE(f32, ssm_scan_products);
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  const Dim rows = s.values[n.in[0]].shape[0];
  lowered.temporaries.push_back({DType::f32, {rows, Dim::fixed(at.groups * products_of_row)}});
  const auto products = static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size() - 1);
  Launch l;
  l.set_args(CpuParams{cpu_rows(rows), s.values[n.in[5]].shape[0].symbol, at.heads, at.head_dim, at.groups, at.state,
                       static_cast<std::int32_t>(shape_of(s, n.in[1], 1)), at.dt_offset, block_rows, at.dt_min,
                       at.dt_max});
  l.call = products_call[I];
  l.entry = "ssm_scan_products";
  l.grid = products_grid;
  l.arguments = {{n.in[0]}, {products, 0, 0, true}};
  lowered.launches.push_back(l);
  l.call = scan[I];
  l.entry = "ssm_scan";
  l.grid = grid;
  l.thread_scratch = static_cast<std::uint32_t>(block_rows * at.state * 4);
  l.arguments = {{n.in[0]},
                 {n.in[1]},
                 {n.in[2]},
                 {n.in[3]},
                 {n.in[4]},
                 {n.in[5]},
                 {products},
                 {n.in[6], 0, 0, true},
                 {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_cpu(std::vector<Kernel>& list) { SY_CPU_KERNELS(f32, list, refuse, lower); }

}  // namespace switchyard::kernels::ssm_scan
