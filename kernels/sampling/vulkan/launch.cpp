#include "kernels/common/vulkan/launch.h"

#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> sampling_sampling_comp;
}

namespace switchyard::kernels::sampling {
namespace {

using namespace vulkan;

struct Params {
  std::uint32_t columns;
  std::int32_t rows_symbol;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return groups(at(dims, l.args_as<Params>().rows_symbol));
}

std::optional<std::string> refuse(const Segment& s, const Node& n, const Info&) {
  if (auto t = n.attrs_as<Attrs>().temperature; t > 0)
    return "temperature is " + std::to_string(t) + ", this kernel picks the largest logit only (temperature 0)";
  return refuse_symbol(s, n.in[0], "logits");
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::sampling_sampling_comp;
  l.group = {128, 1, 1};
  l.group_memory = 8 * 128;
  l.grid = grid;
  l.set_args(Params{static_cast<std::uint32_t>(shape_of(s, n.in[0], 1)), symbol_of(s, n.in[0])});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_vulkan(std::vector<Kernel>& list) { list.push_back({"vulkan", Format::spirv_vulkan, {}, refuse, lower}); }

}  // namespace switchyard::kernels::sampling
