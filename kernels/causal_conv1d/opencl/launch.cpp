#include "kernels/common/opencl/launch.h"

#include "kernels/causal_conv1d/causal_conv1d.h"

namespace switchyard::kernels::embedded {
extern const std::span<const std::byte> causal_conv1d_causal_conv1d_cl;
}

namespace switchyard::kernels::causal_conv1d {
namespace {

using namespace opencl;

struct Params {
  Count rows, sequences;
  std::int32_t channels, width, x_offset, bias;
};

std::array<std::uint32_t, 3> grid_rows(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.channels), 64), count(p.rows, dims), 1};
}
std::array<std::uint32_t, 3> grid_sequences(const Launch& l, Dims dims) {
  auto p = l.args_as<Params>();
  return {groups(static_cast<std::uint32_t>(p.channels), 64), count(p.sequences, dims), 1};
}

Status lower(const Segment& s, std::uint32_t index, const Info&, Lowered& lowered) {
  const Node& n = s.nodes[index];
  Launch l;
  l.code = embedded::causal_conv1d_causal_conv1d_cl;
  l.build_options = define("TAPS", shape_of(s, n.in[1], 1));
  l.entry = "convolve";
  l.group = {64, 1, 1};
  l.grid = grid_rows;
  l.set_args(Params{count_of(s.values[n.in[0]].shape[0]), count_of(s.values[n.in[3]].shape[0]),
                    static_cast<std::int32_t>(shape_of(s, n.in[1], 0)),
                    static_cast<std::int32_t>(shape_of(s, n.in[0], 1)), n.attrs_as<Attrs>().x_offset,
                    n.in[2] != no_value});
  Launch keep = l;
  l.arguments = {{n.in[0]}, {n.in[1]}, {n.in[2]}, {n.in[3]}, {n.in[4]}, {n.out[0], 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  keep.entry = "keep";
  keep.grid = grid_sequences;
  keep.arguments = {{n.in[0]}, {n.in[3]}, {n.in[4], 0, 0, true}};
  lowered.launches.push_back(std::move(keep));
  return ok();
}

}  // namespace

void add_opencl(std::vector<Kernel>& list) { list.push_back({"opencl_c", Format::opencl_c, {}, nullptr, lower}); }

}  // namespace switchyard::kernels::causal_conv1d
