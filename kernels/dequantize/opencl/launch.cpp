#include "kernels/common/opencl/launch.h"

#include "kernels/dequantize/dequantize.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> dequantize_dequantize_cl;
}

namespace switchyard::kernels::dequantize {
namespace {

using namespace opencl;

struct Params {
  std::int32_t columns, row_words, rows;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.columns), 8 * 64), static_cast<std::uint32_t>(p.rows), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const DType type = s.values[n.in[0]].dtype;
  HAL_CHECK(add_rows32(s, n.in[0], lowered));
  Params p{};
  p.columns = static_cast<std::int32_t>(shape_of(s, n.in[0], 1));
  p.row_words = static_cast<std::int32_t>(row_words(type, p.columns));
  const Bytes out_row = Bytes{4} * static_cast<Bytes>(p.columns), in_row = Bytes{4} * static_cast<Bytes>(p.row_words);
  for (const RowRange& r : split_rows(shape_of(s, n.in[0], 0), std::max(out_row, in_row), info.limits.max_binding)) {
    Launch l;
    l.code = embedded::dequantize_dequantize_cl;
    l.build_options = define_type(type);
    l.entry = "dequantize";
    l.group = {64, 1, 1};
    l.grid = grid;
    p.rows = static_cast<std::int32_t>(r.rows);
    l.set_args(p);
    const auto first = static_cast<Bytes>(r.first), rows = static_cast<Bytes>(r.rows);
    l.arguments = {{n.in[0], first * in_row, rows * in_row}, {n.out[0], first * out_row, rows * out_row, true}};
    lowered.launches.push_back(std::move(l));
  }
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::dequantize
