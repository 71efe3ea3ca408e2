#include "kernels/common/opencl/launch.h"

#include "kernels/embedding/embedding.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> embedding_embedding_cl;
}

namespace switchyard::kernels::embedding {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t d, row_words, first, count;
  float scale;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.d), 8 * 64), count(p.rows, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info& info, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const DType type = s.values[n.in[0]].dtype;
  HAL_CHECK(add_rows32(s, n.in[0], lowered));
  Params p{};
  p.rows = count_of(s.values[n.in[1]].shape[0]);
  p.d = static_cast<std::int32_t>(shape_of(s, n.in[0], 1));
  p.row_words = static_cast<std::int32_t>(row_words(type, p.d));
  p.scale = n.attrs_as<Attrs>().scale;
  const bool constant = s.constant(n.in[0]) != nullptr;
  const Bytes limit = constant ? info.limits.max_binding : 0;
  for (const RowRange& r : split_rows(shape_of(s, n.in[0], 0), Bytes{4} * static_cast<Bytes>(p.row_words), limit)) {
    Launch l;
    l.code = embedded::embedding_embedding_cl;
    l.build_options = define_type(type);
    l.entry = "embedding";
    l.group = {64, 1, 1};
    l.grid = grid;
    p.first = static_cast<std::int32_t>(r.first);
    p.count = static_cast<std::int32_t>(r.rows);
    l.set_args(p);
    l.arguments = {{n.in[0], constant ? r.offset : 0, constant ? r.bytes : 0}, {n.in[1]}, {n.out[0], 0, 0, true}};
    lowered.launches.push_back(std::move(l));
  }
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::embedding
