#include "kernels/common/vulkan/launch.h"

#include "kernels/multiply_add/multiply_add.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> multiply_add_multiply_add_comp;
}

namespace switchyard::kernels::multiply_add {
namespace {

using namespace vulkan;

struct Params {
  std::int32_t rows_symbol, products;
  float one;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return groups(divide_up(16 * at(dims, l.args_as<Params>().rows_symbol), 64));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (n.attrs_as<Attrs>().kind == Products::f32) return refuse_symbol(s, n.in[0], "x");
  return std::string("products of ") + to_string(n.attrs_as<Attrs>().kind) + " have no kernel here";
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::multiply_add_multiply_add_comp;
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{symbol_of(s, n.in[0]), n.attrs_as<Attrs>().products, 1.0f});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::multiply_add
