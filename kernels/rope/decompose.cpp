#include <cmath>

#include "kernels/primitives.h"
#include "kernels/rope/rope.h"

namespace switchyard::kernels::rope {
namespace {

// cos and sin of position * turns at count positions, `step` apart. Turns are 64-bit fractions, so the product mod 2^64
// is exact.
struct Table {
  std::vector<float> cos, sin;
  Table(const std::vector<std::uint64_t>& turns, std::uint64_t count, std::uint64_t step) {
    constexpr double two_pi = 6.283185307179586476925;
    for (std::uint64_t i = 0; i < count; ++i)
      for (std::uint64_t f : turns) {
        double angle = std::ldexp(static_cast<double>(static_cast<std::int64_t>(i * step * f)), -64) * two_pi;
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
  }
};

}  // namespace

// Two short tables and the addition theorem reach every position below 131072; the device takes no sine of a large
// angle.
Status decompose(const Segment& s, const Node& n, GraphWriter& g) {
  const auto a = n.attrs_as<Attrs>();
  const std::int64_t t = shape_of(s, n.in[0], 0), heads = a.heads, d = a.head_dim, half = d / 2;
  constexpr std::int32_t low = 128, high = 1024;
  const Constant* c = s.constant(n.in[2]);
  if (!c || c->data.size() != static_cast<std::size_t>(half) * 8)
    return Error{Code::unsupported, "rope@1: the turns (input 2) must be a constant with its data"};
  std::vector<std::uint64_t> turns(static_cast<std::size_t>(half));
  for (std::size_t j = 0; j < turns.size(); ++j) {
    std::uint32_t word[2];
    std::memcpy(word, c->data.data() + 8 * j, 8);
    turns[j] = static_cast<std::uint64_t>(word[1]) << 32 | word[0];
  }
  const Table fine(turns, low, 1), coarse(turns, high, low);
  std::uint32_t position = g.of(n.in[1]), unit = g.constant({1}, std::vector<std::int32_t>{low});
  std::uint32_t far = g.div(position, unit), near = g.sub(position, g.mul(far, unit));
  std::uint32_t cos_far = g.gather(g.constant({high, half}, coarse.cos), far),
                sin_far = g.gather(g.constant({high, half}, coarse.sin), far);
  std::uint32_t cos_near = g.gather(g.constant({low, half}, fine.cos), near),
                sin_near = g.gather(g.constant({low, half}, fine.sin), near);
  std::uint32_t cos = g.sub(g.mul(cos_far, cos_near), g.mul(sin_far, sin_near));
  std::uint32_t sin = g.add(g.mul(sin_far, cos_near), g.mul(cos_far, sin_near));

  std::uint32_t x, first, second;
  int axis;
  if (a.interleaved) {  // pairs lie side by side
    axis = 3;
    x = g.reshape(g.of(n.in[0]), {t, heads, half, 2});
    cos = g.reshape(cos, {t, 1, half, 1});
    sin = g.reshape(sin, {t, 1, half, 1});
    first = g.slice(x, 3, 0, 1);
    second = g.slice(x, 3, 1, 2);
  } else {
    axis = 2;
    x = g.reshape(g.of(n.in[0]), {t, heads, d});
    cos = g.reshape(cos, {t, 1, half});
    sin = g.reshape(sin, {t, 1, half});
    first = g.slice(x, 2, 0, half);
    second = g.slice(x, 2, half, d);
  }
  std::uint32_t y =
      g.concat({g.sub(g.mul(first, cos), g.mul(second, sin)), g.add(g.mul(second, cos), g.mul(first, sin))}, axis);
  g.set(n.out[0], g.reshape(y, {t, heads * d}));
  return ok();
}

}  // namespace switchyard::kernels::rope
