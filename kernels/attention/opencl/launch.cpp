#include "kernels/common/opencl/launch.h"

#include "kernels/attention/attention.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> attention_append_cl, attention_attention_cl;
}

namespace switchyard::kernels::attention {
namespace {

using namespace opencl;

constexpr std::int32_t widest_head = 512;  // a workgroup of 64 items holds eight elements of the output each

struct AppendParams {
  Count rows, sequences;
  std::int32_t width, page_size, columns;
};
struct Params {
  Count rows, sequences;
  std::int32_t heads, kv_heads, page_size, columns;
  float scale;
};

std::array<std::uint32_t, 3> grid_append(const Launch& l, Dims dims) {
  auto p = l.args_as<AppendParams>();
  return {groups(static_cast<std::uint32_t>(p.width), 64), count(p.rows, dims), 1};
}
std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {static_cast<std::uint32_t>(p.heads), count(p.rows, dims), 1};
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (s.values[n.in[5]].dtype == DType::q8_0) return "a KV cache in q8_0 has no OpenCL kernel";
  auto at = n.attrs_as<Attrs>();
  if (at.head_dim <= widest_head) return std::nullopt;
  return "head_dim " + std::to_string(at.head_dim) + " is above " + std::to_string(widest_head);
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto at = n.attrs_as<Attrs>();
  const Count rows = count_of(s.values[n.in[0]].shape[0]), sequences = count_of(s.values[n.in[3]].shape[0]);
  const auto columns = static_cast<std::int32_t>(shape_of(s, n.in[4], 1));
  const std::string half = define("HALF", s.values[n.in[5]].dtype == DType::f16);
  Launch a;
  a.code = embedded::attention_append_cl;
  a.build_options = half;
  a.entry = "append";
  a.group = {64, 1, 1};
  a.grid = grid_append;
  a.set_args(AppendParams{rows, sequences, at.kv_heads * at.head_dim, at.page_size, columns});
  a.arguments = {{n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.in[5], 0, 0, true}, {n.in[6], 0, 0, true}};
  lowered.launches.push_back(std::move(a));
  Launch l;
  l.code = embedded::attention_attention_cl;
  l.build_options = half + define("N", at.head_dim);
  l.entry = "attention";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{rows, sequences, at.heads, at.kv_heads, at.page_size, columns, at.scale});
  l.arguments = {{n.in[0]}, {n.in[3]}, {n.in[4]}, {n.in[5]}, {n.in[6]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, refuse, lower}); }

}  // namespace switchyard::kernels::attention
