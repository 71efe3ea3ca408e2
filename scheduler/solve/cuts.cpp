#include "scheduler/solve/cuts.h"

#include <algorithm>
#include <bit>
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
  bool tells() const { return whole >= 1 && whole <= 1e4 && part >= 0.01 && part <= 0.99; }
};

// A device takes what it takes once, whichever unit uses it; so it takes no less if the use of one unit alone counts.
// Of those rows the one that shares break most counts the unit that uses the device most.
std::vector<Cut::Charge> charges(const Flat& f, const Scope& s, std::size_t row, const std::vector<double>& share) {
  std::vector<Cut::Charge> charged;
  for (std::uint64_t left = f.charged & ~s.paid; left; left &= left - 1) {
    const auto d = static_cast<std::size_t>(std::countr_zero(left));
    if (f.taken_once(d)[row] <= 0) continue;
    double most = 0;
    std::size_t unit = 0;
    for (std::size_t u = 0; u < f.units; ++u) {
      double uses = 0;
      for (std::size_t o = f.first[u]; o < f.first[u + 1]; ++o) uses += f.devices[o] >> d & 1 ? share[o] : 0;
      if (uses > most) most = uses, unit = u;
    }
    if (most > 0) charged.push_back({d, unit});
  }
  return charged;
}

std::vector<double> with_charges(const Flat& f, std::size_t row, const std::vector<Cut::Charge>& charged) {
  const auto begin = f.by_row.begin() + static_cast<std::ptrdiff_t>(row * f.options());
  std::vector<double> takes(begin, begin + static_cast<std::ptrdiff_t>(f.options()));
  for (const Cut::Charge& c : charged)
    for (std::size_t o = f.first[c.unit]; o < f.first[c.unit + 1]; ++o)
      if (f.devices[o] >> c.device & 1) takes[o] += f.taken_once(c.device)[row];
  return takes;
}

// The size to divide by so that the shares break what follows most; 0: they break none.
double best_divisor(const std::vector<double>& takes, const Scope& s, double limit, const std::vector<double>& share) {
  // Sizes there are, and what share of the units takes each.
  std::vector<std::pair<double, double>> sizes;
  for (std::size_t o = 0; o < takes.size(); ++o) {
    const double a = takes[o];
    if (a <= 0 || s.gone[o]) continue;
    auto same = std::find_if(sizes.begin(), sizes.end(), [&](const auto& x) { return x.first == a; });
    if (same == sizes.end()) same = sizes.insert(sizes.end(), {a, 0.0});
    same->second += share[o];
    if (sizes.size() > 64) return 0;
  }
  double most = 1e-3, best = 0;
  for (const auto& [size, unused] : sizes)
    for (double parts = 1; parts <= 6; ++parts) {
      const Rounding r(size / parts, limit);
      if (!r.tells()) continue;
      double total = -r.whole;
      for (const auto& [a, times] : sizes) total += r.of(a) * times;
      if (total / r.whole > most) most = total / r.whole, best = size / parts;
    }
  return best;
}

}  // namespace

std::vector<Cut> broken_cuts(const Flat& f, const Scope& s, std::size_t row, const std::vector<double>& share) {
  const double limit = s.limit[row];
  std::vector<Cut> cuts;
  if (f.moves_take[row] || limit <= 0) return cuts;
  Cut::Origin origin{row, 0, charges(f, s, row, share)};
  const auto takes = with_charges(f, row, origin.charged);
  double used = 0;
  for (std::size_t o = 0; o < f.options(); ++o) used += takes[o] * share[o];
  if (used < 0.98 * limit) return cuts;
  if (used > 1.001 * limit) cuts.push_back(*cut_from(f, s, origin));
  origin.divisor = best_divisor(takes, s, limit, share);
  if (origin.divisor > 0) cuts.push_back(*cut_from(f, s, origin));
  return cuts;
}

std::optional<Cut> cut_from(const Flat& f, const Scope& s, const Cut::Origin& origin) {
  const double limit = s.limit[origin.row];
  if (f.moves_take[origin.row] || limit <= 0) return std::nullopt;
  Cut cut{with_charges(f, origin.row, origin.charged), limit, false, origin};
  if (origin.divisor <= 0) return cut;
  const Rounding r(origin.divisor, limit);
  if (!r.tells()) return std::nullopt;
  cut.limit = r.whole;
  for (double& v : cut.takes) v = r.of(v);
  return cut;
}

}  // namespace switchyard::scheduler
