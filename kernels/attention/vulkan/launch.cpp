#include "kernels/common/vulkan/launch.h"

#include "kernels/attention/attention.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> attention_append_comp;
extern const std::span<const std::byte> attention_attention_comp;
}  // namespace switchyard::kernels::embedded

namespace switchyard::kernels::attention {
namespace {

using namespace vulkan;

struct AppendParams {
  std::uint32_t width, page_size, pages_per_row;
  std::int32_t rows_symbol, sequences_symbol;
};
struct Params {
  std::uint32_t kv_heads, page_size, pages_per_row;
  std::int32_t rows_symbol, sequences_symbol;
  float scale;
};

std::array<std::uint32_t, 3> append_grid(const Launch& l, Dims dims) {
  auto p = l.args_as<AppendParams>();
  return groups(at(dims, p.sequences_symbol) ? at(dims, p.rows_symbol) : 0);
}
std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return groups(at(dims, p.sequences_symbol) ? at(dims, p.rows_symbol) * p.kv_heads : 0);
}

std::uint32_t group_memory(const Attrs& a) {
  auto group = static_cast<std::uint32_t>(a.heads / a.kv_heads);
  return 4 * (group * static_cast<std::uint32_t>(a.head_dim) + group * 64 + group * 8 + 64 + 1);
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info& info) {
  if (s.values[n.in[5]].dtype == DType::q8_0) return "a KV cache in q8_0 has no Vulkan kernel";
  const auto a = n.attrs_as<Attrs>();
  if (a.head_dim % 2)
    return "head_dim is " + std::to_string(a.head_dim) + ", this kernel works on pairs and needs an even one";
  if (group_memory(a) > info.limits.group_memory)
    return std::to_string(a.heads / a.kv_heads) + " query heads of " + std::to_string(a.head_dim) +
           " per kv head need " + std::to_string(group_memory(a)) + " bytes of workgroup memory, " + info.id + " has " +
           std::to_string(info.limits.group_memory);
  return first_of(refuse_symbol(s, n.in[0], "q"), refuse_symbol(s, n.in[3], "sequences"),
                  refuse_binding(s, n.in[5], info, "k_pages"), refuse_binding(s, n.in[6], info, "v_pages"));
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  const auto a = n.attrs_as<Attrs>();
  const bool halves = s.values[n.in[5]].dtype == DType::f16;
  const auto kv_heads = static_cast<std::uint32_t>(a.kv_heads), page_size = static_cast<std::uint32_t>(a.page_size);
  const auto pages = static_cast<std::uint32_t>(shape_of(s, n.in[4], 1)),
             head_dim = static_cast<std::uint32_t>(a.head_dim);
  Launch append;
  append.code = embedded::attention_append_comp;
  append.group = {64, 1, 1};
  append.group_memory = 4;
  append.grid = append_grid;
  append.spec = {halves};
  append.set_args(AppendParams{kv_heads * head_dim, page_size, pages, symbol_of(s, n.in[0]), symbol_of(s, n.in[3])});
  append.arguments = {{n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.in[5], 0, 0, true}, {n.in[6], 0, 0, true}};
  lowered.launches.push_back(std::move(append));

  Launch l;
  l.code = embedded::attention_attention_comp;
  l.group = {64, 1, 1};
  l.group_memory = group_memory(a);
  l.grid = grid;
  l.spec = {halves, static_cast<std::uint32_t>(a.heads / a.kv_heads), head_dim};
  l.set_args(Params{kv_heads, page_size, pages, symbol_of(s, n.in[0]), symbol_of(s, n.in[3]), a.scale});
  l.arguments = {{n.in[0]}, {n.in[3]}, {n.in[4]}, {n.in[5]}, {n.in[6]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::attention
