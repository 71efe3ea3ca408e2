#include "kernels/common/vulkan/launch.h"

#include "kernels/embedding/embedding.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> embedding_embedding_comp;
}

namespace switchyard::kernels::embedding {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t first, count, columns, row_words;
  std::int32_t rows_symbol;
  float scale;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(divide_up(at(dims, p.rows_symbol) * divide_up(p.columns, 8), 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  return first_of(refuse_symbol(s, n.in[1], "rows"), s.constant(n.in[0]) ? refuse_weight(s, n.in[0], info, "table")
                                                                         : refuse_binding(s, n.in[0], info, "table"));
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  HAL_CHECK(add_rows32(s, n.in[0], lowered));
  const Bytes row = packed_row_bytes(s, n.in[0]);
  Params p{};
  p.columns = static_cast<std::uint32_t>(shape_of(s, n.in[0], 1));
  p.row_words = static_cast<std::uint32_t>(row / 4);
  p.rows_symbol = symbol_of(s, n.in[1]);
  p.scale = n.attrs_as<Attrs>().scale;
  auto ranges = split_rows(shape_of(s, n.in[0], 0), row, info.limits.max_binding);
  for (const RowRange& r : ranges) {
    Launch l;
    l.code = embedded::embedding_embedding_comp;
    l.group = {64, 1, 1};
    l.grid = grid;
    l.spec = {number(s.values[n.in[0]].dtype)};
    p.first = r.first;
    p.count = r.count;
    l.set_args(p);
    // A computed table has as many rows as the step; it is bound whole, whatever their number.
    Arg table = s.constant(n.in[0]) ? Arg{n.in[0], r.offset, r.bytes} : Arg{n.in[0]};
    l.arguments = {table, {n.in[1]}, {n.out[0], 0, 0, true}};
    lowered.launches.push_back(std::move(l));
  }
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::embedding
