#include "scheduler/solve/cuts.h"

#include <algorithm>
#include <cmath>

namespace switchyard::scheduler {
namespace {

// sum a x <= b, x whole and not negative, divided by d: sum (floor(a/d) + max(0, frac(a/d) - f) / (1 - f)) x <=
// floor(b/d) where f is the fractional part of b/d.
struct Rounding {
  double divisor, whole, part;
  Rounding(double d, double limit) : divisor(d), whole(std::floor(limit / d)), part(limit / d - whole) {}
  double of(double a) const {
    const double q = a / divisor, down = std::floor(q);
    return down + std::max(0.0, q - down - part) / (1 - part);
  }
};

}  // namespace

std::optional<Cut> broken_cut(const Flat& f, const Scope& s, std::size_t row, const std::vector<double>& share) {
  const double limit = s.limit[row];
  if (f.moves_take[row]) return std::nullopt;
  // Sizes there are, and what share of the units takes each.
  std::vector<std::pair<double, double>> sizes;
  double used = 0;
  for (std::size_t o = 0; o < f.options(); ++o) {
    const double a = f.taken(o)[row];
    if (a <= 0 || s.gone[o]) continue;
    used += a * share[o];
    auto same = std::find_if(sizes.begin(), sizes.end(), [&](const auto& x) { return x.first == a; });
    if (same == sizes.end()) same = sizes.insert(sizes.end(), {a, 0.0});
    same->second += share[o];
    if (sizes.size() > 64) return std::nullopt;
  }
  if (limit <= 0 || used < 0.98 * limit) return std::nullopt;
  double most = 1e-3, best = 0;
  for (const auto& [size, unused] : sizes)
    for (double parts = 1; parts <= 6; ++parts) {
      const Rounding r(size / parts, limit);
      if (r.whole < 1 || r.whole > 1e4 || r.part < 0.01 || r.part > 0.99) continue;
      double total = -r.whole;
      for (const auto& [a, times] : sizes) total += r.of(a) * times;
      if (total / r.whole > most) most = total / r.whole, best = size / parts;
    }
  if (best == 0) return std::nullopt;
  const Rounding r(best, limit);
  Cut cut{std::vector<double>(f.options(), 0), r.whole};
  for (std::size_t o = 0; o < f.options(); ++o) cut.takes[o] = r.of(f.taken(o)[row]);
  return cut;
}

}  // namespace switchyard::scheduler
