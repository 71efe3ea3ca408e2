#include "kernels/common/opencl/launch.h"

#include <limits>

#include "kernels/gemm/gemm.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> gemm_gemm_cl;
}

namespace switchyard::kernels::gemm {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t k, n, row_words, first, columns, bias, residual;
  float scale;
};

// Rows of x a workgroup takes: weights are unpacked once for all of them.
template <std::uint32_t Rows, std::uint32_t Tile>
std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(count(p.rows, dims), Rows), groups(static_cast<std::uint32_t>(p.columns), Tile), 1};
}

struct Form {
  std::int64_t rows, min, max;  // taken for min..max rows of x
  decltype(&grid<1, 32>) grid, grid_up;
};
constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
constexpr Form forms[] = {
    {1, 0, 1, grid<1, 32>, grid<1, 16>}, {4, 2, 4, grid<4, 32>, grid<4, 16>}, {8, 5, any, grid<8, 32>, grid<8, 16>}};

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const DType type = s.values[n.in[1]].dtype;
  const bool up = n.in[2] != no_value;
  const Dim& rows = s.values[n.in[0]].shape[0];
  HAL_CHECK(add_rows32(s, n.in[1], lowered));
  HAL_CHECK(add_rows32(s, n.in[2], lowered));
  Params p{};
  p.rows = count_of(rows);
  p.k = static_cast<std::int32_t>(shape_of(s, n.in[1], 1));
  p.n = static_cast<std::int32_t>(shape_of(s, n.in[1], 0));
  p.row_words = static_cast<std::int32_t>(row_words(type, p.k));
  p.bias = n.in[3] != no_value;
  p.residual = n.in[4] != no_value;
  p.scale = n.attrs_as<Attrs>().scale;
  for (const RowRange& r : split_rows(p.n, Bytes{4} * static_cast<Bytes>(p.row_words), info.limits.max_binding))
    for (const Form& f : forms) {
      if (rows.symbol >= 0 ? rows.max < f.min || rows.min > f.max : rows.max < f.min || rows.max > f.max) continue;
      Launch l;
      l.code = embedded::gemm_gemm_cl;
      l.build_options = define_type(type) + define("ROWS", f.rows) + define("UP", up);
      l.entry = "gemm";
      l.group = {64, 1, 1};
      l.grid = up ? f.grid_up : f.grid;
      if (rows.symbol >= 0) l.when = {{rows.symbol, f.min, f.max}};
      p.first = static_cast<std::int32_t>(r.first);
      p.columns = static_cast<std::int32_t>(r.rows);
      l.set_args(p);
      l.arguments = {{n.in[0]}, {n.in[1], r.offset, r.bytes}, {n.in[2], r.offset, r.bytes}, {n.in[3]},
                     {n.in[4]}, {n.out[0], 0, 0, true}};
      lowered.launches.push_back(std::move(l));
    }
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::gemm
