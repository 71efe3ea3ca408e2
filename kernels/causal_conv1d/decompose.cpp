#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/primitives.h"

namespace switchyard::kernels::causal_conv1d {

// One constant row per tap, so that a tap is a slice of the padded columns times a row.
Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  HAL_CHECK(g.step(n.in[3], n.in[0]));
  const std::int64_t rows = shape_of(s, n.in[0], 0), channels = shape_of(s, n.in[1], 0), taps = shape_of(s, n.in[1], 1);
  const std::int64_t first = n.attrs_as<Attrs>().x_offset;
  std::uint32_t filter;  // [taps, channels]
  if (s.constant(n.in[1])) {
    HAL_TRY(auto w, g.data(n.in[1]));
    std::vector<float> turned(w.size());
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t j = 0; j < taps; ++j)
        turned[static_cast<std::size_t>(j * channels + c)] = w[static_cast<std::size_t>(c * taps + j)];
    filter = g.constant({taps, channels}, turned);
  } else {
    filter = g.transpose(g.of(n.in[1]), {1, 0});
  }
  std::uint32_t x = g.slice(g.of(n.in[0]), 1, first, first + channels);
  std::uint32_t padded = taps > 1 ? g.concat({g.slot_in(n.in[4]), x}, 0) : x;
  std::uint32_t y = no_value;
  if (rows == 1) {
    y = g.reduce("reduce_sum", g.mul(padded, filter), 0);
  } else {
    for (std::int64_t j = 0; j < taps; ++j) {
      std::uint32_t term = g.mul(g.slice(padded, 0, j, j + rows), g.slice(filter, 0, j, j + 1));
      y = y == no_value ? term : g.add(y, term);
    }
  }
  if (n.in[2] != no_value) y = g.add(y, g.of(n.in[2]));
  g.set(n.out[0], g.silu(y));
  // The new window starts behind the last real row: a moving place, a static shape.
  if (taps > 1) g.slot_out(n.in[4], g.gather(padded, g.add(g.rows(), g.iota({taps - 1}))));
  return ok();
}

}  // namespace switchyard::kernels::causal_conv1d
