// The chunked form of state space duality (Dao & Gu 2024, section 6), from primitives of rank 4 at most.
//
// log L[t, r] = a[r+1] + .. + a[t] is not taken as a difference of prefix sums, which cancels, but as a constant
// triangular matmul over copies of a that are masked below the diagonal: every entry is a sum of terms of one sign. The
// logarithm meets min(.., mask), so no exponent is positive and nothing is infinite, in half too.
#include "kernels/primitives.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::ssm_scan {
namespace {

constexpr std::int64_t longest_chunk = 64;
constexpr float lowest = -65504.0f;

struct Shape {
  std::int64_t t, h, p, g, n;
  std::int64_t per_group() const { return h / g; }
};
struct Parts {
  std::uint32_t x, b, c, dt;  // [T, H P], [T, G N], [T, G N], [T, H]
};

std::uint32_t time_steps(GraphWriter& g, std::uint32_t dt, const Node& n, const Attrs& a, std::int64_t rows) {
  dt = g.softplus(g.add(dt, g.of(n.in[2])));
  if (a.dt_min > 0) dt = g.max(dt, g.scalar(a.dt_min));
  if (a.dt_max < 65504.0f) dt = g.min(dt, g.scalar(a.dt_max));
  return rows > 1 ? g.mul(dt, g.valid(rows)) : dt;  // padding: decay 1, no input
}

void step(const Node& n, GraphWriter& g, const Shape& s, const Parts& in) {
  const std::int64_t hg = s.per_group();
  auto per_head = [&](std::uint32_t v) { return g.reshape(v, {s.g, hg, 1, 1}); };
  std::uint32_t dt = per_head(in.dt);
  std::uint32_t decay = g.exp(g.mul(dt, per_head(g.of(n.in[3]))));
  std::uint32_t x = g.reshape(in.x, {s.g, hg, s.p, 1});
  std::uint32_t state = g.reshape(g.slot_in(n.in[6]), {s.g, hg, s.p, s.n});
  state = g.add(g.mul(state, decay), g.mul(g.mul(x, dt), g.reshape(in.b, {s.g, 1, 1, s.n})));
  std::uint32_t y = g.matmul(g.reshape(state, {s.g, hg * s.p, s.n}), g.reshape(in.c, {s.g, 1, s.n}), false, true);
  y = g.add(g.reshape(y, {s.g, hg, s.p, 1}), g.mul(x, per_head(g.of(n.in[4]))));
  g.set(n.out[0], g.reshape(y, {1, s.h * s.p}));
  g.slot_out(n.in[6], g.reshape(state, {s.h, s.p, s.n}));
}

// Constant masks of a chunk of q rows.
struct Masks {
  std::vector<float> lower, strict, log;
  explicit Masks(std::int64_t q) : lower(static_cast<std::size_t>(q * q)), strict(lower), log(lower.size(), lowest) {
    for (std::int64_t t = 0; t < q; ++t)
      for (std::int64_t r = 0; r <= t; ++r) {
        auto at = static_cast<std::size_t>(t * q + r);
        lower[at] = 1;
        strict[at] = r < t ? 1.0f : 0.0f;
        log[at] = 0;
      }
  }
};

void chunks(const Node& n, GraphWriter& g, const Shape& s, const Parts& in, std::int64_t q) {
  const std::int64_t count = s.t / q, m = count * s.g, hg = s.per_group();
  auto heads = [&](std::uint32_t v, std::int64_t width) {  // [T, H width] -> [m, hg, q, width]
    return g.reshape(g.transpose(g.reshape(v, {count, q, s.h, width}), {0, 2, 1, 3}), {m, hg, q, width});
  };
  auto groups = [&](std::uint32_t v) {  // [T, G N] -> [m, q, N]
    return g.reshape(g.transpose(g.reshape(v, {count, q, s.g, s.n}), {0, 2, 1, 3}), {m, q, s.n});
  };
  const Masks masks(q);
  std::uint32_t lower = g.constant({q, q}, masks.lower);
  std::uint32_t a = heads(g.mul(in.dt, g.of(n.in[3])), 1);                                          // [m, hg, q, 1]
  std::uint32_t log_l = g.matmul(lower, g.mul(a, g.constant({q, q}, masks.strict)), false, false);  // [m, hg, q, q]
  std::uint32_t prefix = g.matmul(lower, a, false, false);  // only for exp(prefix): no difference is taken
  std::uint32_t tail = g.reshape(g.slice(log_l, 2, q - 1, q), {m, hg, q, 1});
  std::uint32_t decay = g.exp(g.min(log_l, g.constant({q, q}, masks.log)));

  std::uint32_t xdt = g.mul(heads(in.x, s.p), heads(in.dt, 1));
  std::uint32_t b = groups(in.b), c = groups(in.c);
  std::uint32_t cb = g.reshape(g.matmul(c, b, false, true), {m, 1, q, q});
  std::uint32_t y = g.matmul(g.mul(decay, cb), xdt, false, false);  // inside the chunk

  // What each chunk adds to the state, and the state each chunk starts from: the only unrolled part.
  std::uint32_t weighted = g.mul(xdt, g.exp(g.min(tail, g.scalar(0))));
  std::uint32_t gain = g.matmul(g.reshape(g.transpose(weighted, {0, 1, 3, 2}), {m, hg * s.p, q}), b, false, false);
  std::uint32_t last = g.exp(g.slice(prefix, 2, q - 1, q));
  std::uint32_t state = g.reshape(g.slot_in(n.in[6]), {s.g, hg, s.p, s.n});
  std::vector<std::uint32_t> entering;
  for (std::int64_t i = 0; i < count; ++i) {
    entering.push_back(state);
    std::uint32_t own = g.reshape(g.slice(gain, 0, i * s.g, (i + 1) * s.g), {s.g, hg, s.p, s.n});
    state = g.add(g.mul(state, g.slice(last, 0, i * s.g, (i + 1) * s.g)), own);
  }
  std::uint32_t from_state = g.matmul(c, g.reshape(g.concat(entering, 0), {m, hg * s.p, s.n}), false, true);
  from_state = g.transpose(g.reshape(from_state, {m, q, hg, s.p}), {0, 2, 1, 3});
  y = g.add(y, g.mul(from_state, g.exp(prefix)));
  y = g.transpose(g.reshape(y, {count, s.h, q, s.p}), {0, 2, 1, 3});
  y = g.add(g.reshape(y, {s.t, s.h, s.p}), g.mul(g.reshape(in.x, {s.t, s.h, s.p}), g.reshape(g.of(n.in[4]), {s.h, 1})));
  const std::int64_t asked = g.shape(g.of(n.in[0]))[0];
  g.set(n.out[0], g.slice(g.reshape(y, {s.t, s.h * s.p}), 0, 0, asked));
  g.slot_out(n.in[6], g.reshape(state, {s.h, s.p, s.n}));
}

}  // namespace

Status decompose(const Segment& segment, const Node& n, GraphWriter& g) {
  const auto a = n.attrs_as<Attrs>();
  HAL_CHECK(g.step(n.in[5], n.in[0]));
  Shape s{shape_of(segment, n.in[0], 0), a.heads, a.head_dim, a.groups, a.state};
  std::uint32_t xbc = g.of(n.in[0]);
  std::uint32_t dt = time_steps(g, g.slice(g.of(n.in[1]), 1, a.dt_offset, a.dt_offset + s.h), n, a, s.t);
  const std::int64_t q = s.t < longest_chunk ? s.t : longest_chunk;
  if (s.t % q) {  // whole chunks: rows of zeros behind, as padding rows are
    const std::int64_t more = q - s.t % q;
    auto zeros = [&](std::int64_t width) {
      return g.constant({more, width}, std::vector<float>(static_cast<std::size_t>(more * width)));
    };
    xbc = g.concat({xbc, zeros(g.shape(xbc)[1])}, 0);
    dt = g.concat({dt, zeros(s.h)}, 0);
    s.t += more;
  }
  const std::int64_t inner = s.h * s.p, states = s.g * s.n;
  Parts parts{g.slice(xbc, 1, 0, inner), g.slice(xbc, 1, inner, inner + states),
              g.slice(xbc, 1, inner + states, inner + 2 * states), dt};
  if (s.t == 1)
    step(n, g, s, parts);
  else
    chunks(n, g, s, parts, q);
  return ok();
}

}  // namespace switchyard::kernels::ssm_scan
