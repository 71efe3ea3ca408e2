#include "kernels/common/vulkan/launch.h"

#include "kernels/dequantize/dequantize.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> dequantize_dequantize_comp;
}

namespace switchyard::kernels::dequantize {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t rows, columns, row_words;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(std::uint64_t{p.rows} * divide_up(p.columns, 8), 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  const Bytes rows = std::min<Bytes>(256, static_cast<Bytes>(shape_of(s, n.in[0], 0))),
              part = rows * 4 * static_cast<Bytes>(shape_of(s, n.in[0], 1));
  if (part > info.limits.max_binding)
    return std::to_string(rows) + " unpacked rows are " + std::to_string(part) + " bytes, " + info.id +
           " binds at most " + std::to_string(info.limits.max_binding);
  return refuse_weight(s, n.in[0], info, "w");
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  HAL_CHECK(add_rows32(s, n.in[0], lowered));
  Params p{};
  p.columns = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  const Bytes row = packed_row_bytes(s, n.in[0]), row_out = Bytes{4} * p.columns;
  p.row_words = static_cast<std::uint32_t>(row / 4);
  // Unpacked rows are the longer ones, but for f32; both sides are bound in parts of the same rows.
  for (const RowRange& r : split_rows(shape_of(s, n.in[0], 0), std::max(row, row_out), info.limits.max_binding)) {
    Launch l;
    l.code = embedded::dequantize_dequantize_comp;
    l.group = {64, 1, 1};
    l.grid = grid;
    l.spec = {number(s.values[n.in[0]].dtype)};
    p.rows = r.count;
    l.set_args(p);
    l.arguments = {{n.in[0], r.first * row, r.count * row}, {n.out[0], r.first * row_out, r.count * row_out, true}};
    lowered.launches.push_back(std::move(l));
  }
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::dequantize
