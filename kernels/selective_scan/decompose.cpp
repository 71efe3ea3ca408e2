#include "kernels/primitives.h"
#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::selective_scan {

// A decay per channel and state has no matmul form: doubling over (decay, input) pairs, log2 T levels. Products of
// decays only shrink. Its arrays are T times the state, so long steps are declined.
constexpr std::int64_t longest = 32;

std::optional<std::string> no_graph(const Segment& s, const Node& n) {
  const std::int64_t rows = shape_of(s, n.in[0], 0);
  if (rows <= longest) return std::nullopt;
  return "selective_scan@1: a graph takes up to " + std::to_string(longest) + " rows at once, this step has " +
         std::to_string(rows);
}

Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  if (auto why = no_graph(s, n)) return Error{Code::unsupported, *why};
  HAL_CHECK(g.step(n.in[8], n.in[0]));
  const std::int64_t rows = shape_of(s, n.in[0], 0), channels = shape_of(s, n.in[3], 0),
                     states = shape_of(s, n.in[3], 1);
  std::uint32_t u = g.of(n.in[0]);
  std::uint32_t dt = g.softplus(g.add(g.of(n.in[1]), g.of(n.in[2])));
  if (rows > 1) dt = g.mul(dt, g.valid(rows));
  std::uint32_t decay = g.exp(g.mul(g.reshape(dt, {rows, channels, 1}), g.of(n.in[3])));  // [T, C, N]
  std::uint32_t input =
      g.mul(g.reshape(g.mul(u, dt), {rows, channels, 1}), g.reshape(g.of(n.in[4]), {rows, 1, states}));
  std::uint32_t old = g.reshape(g.slot_in(n.in[9]), {1, channels, states});
  std::uint32_t first = g.add(g.slice(input, 0, 0, 1), g.mul(g.slice(decay, 0, 0, 1), old));
  std::uint32_t scan = rows > 1 ? g.concat({first, g.slice(input, 0, 1, rows)}, 0) : first;
  for (std::int64_t o = 1; o < rows; o *= 2) {
    std::uint32_t high = g.slice(decay, 0, o, rows);
    scan = g.concat(
        {g.slice(scan, 0, 0, o), g.add(g.slice(scan, 0, o, rows), g.mul(high, g.slice(scan, 0, 0, rows - o)))}, 0);
    if (2 * o < rows) decay = g.concat({g.slice(decay, 0, 0, o), g.mul(high, g.slice(decay, 0, 0, rows - o))}, 0);
  }
  std::uint32_t y =
      g.reshape(g.matmul(scan, g.reshape(g.of(n.in[5]), {rows, states, 1}), false, false), {rows, channels});
  y = g.add(y, g.mul(u, g.of(n.in[6])));
  if (n.in[7] != no_value) y = g.mul(y, g.silu(g.of(n.in[7])));
  g.set(n.out[0], y);
  g.slot_out(n.in[9], g.reshape(g.slice(scan, 0, rows - 1, rows), {channels, states}));
  return ok();
}

}  // namespace switchyard::kernels::selective_scan
