#include "kernels/common/opencl/launch.h"

#include "kernels/multiply_add/multiply_add.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> multiply_add_multiply_add_cl;
}

namespace switchyard::kernels::multiply_add {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t products;
  float one;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {groups(16 * count(l.args_as<Params>().rows, dims), 64), 1, 1};
}

std::optional<std::string> refuse(const Segment&, const Node& n, const Info&) {
  if (n.attrs_as<Attrs>().kind == Products::f32) return std::nullopt;
  return std::string("products of ") + to_string(n.attrs_as<Attrs>().kind) + " have no kernel here";
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::multiply_add_multiply_add_cl;
  l.entry = "multiply_add";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), n.attrs_as<Attrs>().products, 1.0f});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, refuse, lower}); }

}  // namespace switchyard::kernels::multiply_add
