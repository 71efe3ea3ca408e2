#include "kernels/common/opencl/launch.h"

#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> sampling_sampling_cl;
}

namespace switchyard::kernels::sampling {
namespace {

using namespace opencl;

struct Params {
  Count rows;
  std::int32_t v;
};

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) { return {count(l.args_as<Params>().rows, dims), 1, 1}; }

std::optional<std::string> refuse(const Segment&, const Node& n, const Info&) {
  auto temperature = n.attrs_as<Attrs>().temperature;
  if (temperature == 0) return std::nullopt;
  return "temperature is " + std::to_string(temperature) + "; this form takes the largest logit only (temperature 0)";
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::sampling_sampling_cl;
  l.entry = "greedy";
  l.group = {64, 1, 1};
  l.grid = grid;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), static_cast<std::int32_t>(shape_of(s, n.in[0], 1))});
  l.arguments = {{n.in[0]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, refuse, lower}); }

}  // namespace switchyard::kernels::sampling
