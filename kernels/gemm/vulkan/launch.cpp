#include "kernels/common/vulkan/launch.h"

#include "kernels/gemm/gemm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> gemm_gemm_1_comp;
extern const std::span<const std::byte> gemm_gemm_8_comp;
}  // namespace switchyard::kernels::embedded

namespace switchyard::kernels::gemm {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t k, columns, first, all_columns, row_words;
  std::int32_t rows_symbol;
  std::uint32_t bias, residual;
  float scale;
};

// 16 columns to a workgroup, 8 with w_up.
template <std::uint32_t Rows>
std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {divide_up(p.columns, l.spec[1] ? 8 : 16), divide_up(at(dims, p.rows_symbol), Rows), 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  return first_of(refuse_symbol(s, n.in[0], "x"), refuse_weight(s, n.in[1], info, "w"),
                  refuse_weight(s, n.in[2], info, "w_up"));
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  HAL_CHECK(add_rows32(s, n.in[1], lowered));
  HAL_CHECK(add_rows32(s, n.in[2], lowered));
  const bool paired = n.in[2] != no_value;
  const Bytes row = packed_row_bytes(s, n.in[1]);
  const Dim& rows = s.values[n.in[0]].shape[0];
  Params p{};
  p.k = static_cast<std::uint32_t>(shape_of(s, n.in[1], 1));
  p.all_columns = static_cast<std::uint32_t>(shape_of(s, n.in[1], 0));
  p.row_words = static_cast<std::uint32_t>(row / 4);
  p.rows_symbol = rows.symbol;
  p.bias = n.in[3] != no_value;
  p.residual = n.in[4] != no_value;
  p.scale = n.attrs_as<Attrs>().scale;
  struct Form {
    std::span<const std::byte> code;
    std::int64_t rows, min, max;
    decltype(&grid<1>) grid;
  };
  const Form forms[] = {{embedded::gemm_gemm_1_comp, 1, 1, 1, grid<1>},
                        {embedded::gemm_gemm_8_comp, 8, 2, std::numeric_limits<std::int64_t>::max(), grid<8>}};
  // At most as many columns as one axis of the grid takes.
  for (const RowRange& r : split_rows(p.all_columns, row, info.limits.max_binding, 8 * 65535 / 256 * 256))
    for (const Form& f : forms) {
      if (rows.max < f.min || rows.min > f.max) continue;
      Launch l;
      l.code = f.code;
      l.group = {64, 1, 1};
      l.group_memory = static_cast<std::uint32_t>(4 * f.rows * 8 * 64);
      l.grid = f.grid;
      l.spec = {number(s.values[n.in[1]].dtype), paired};
      l.when = {{rows.symbol, f.min, f.max}};
      p.first = r.first;
      p.columns = r.count;
      l.set_args(p);
      l.arguments = {{n.in[0]}, {n.in[1], r.offset, r.bytes}, {n.in[2], r.offset, r.bytes}, {n.in[3]},
                     {n.in[4]}, {n.out[0], 0, 0, true}};
      lowered.launches.push_back(std::move(l));
    }
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::gemm
