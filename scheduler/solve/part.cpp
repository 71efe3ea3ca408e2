#include "scheduler/solve/part.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace switchyard::scheduler {
namespace {

// What the option pays for what it takes.
double stake(const Flat& f, const Scope& s, const Part& part, std::size_t option) {
  double total = 0;
  for (std::size_t r = 0; r < part.price.size(); ++r)
    total += part.price[r] * std::abs(r < f.rows ? f.taken(option)[r] : s.cuts[r - f.rows]->takes[option]);
  return total;
}

// How often the mixture takes options that are alike, at the first of them.
std::vector<double> times_taken(const Flat& f, const std::vector<double>& share) {
  std::vector<double> times(f.options(), 0);
  for (std::size_t o = 0; o < f.options(); ++o) times[f.alike[o]] += share[o];
  return times;
}

// Takes so much of a row that prices, which would take a part of it, say little.
bool coarse(const Flat& f, std::size_t option) {
  for (std::size_t r = 0; r < f.rows; ++r)
    if (f.taken(option)[r] > 0.2 * f.limit[r]) return true;
  return false;
}

// Options like this one at most as often as the mixture takes them, or more often.
void count(const Flat& f, Part& part, std::size_t option, bool at_most) {
  const double times = std::floor(times_taken(f, part.share(f))[option] + 1e-9);
  Cut cut{std::vector<double>(f.options(), 0), at_most ? times : -times - 1, true};
  for (std::size_t o = 0; o < f.options(); ++o) {
    if (f.alike[o] != option) continue;
    if (at_most && times == 0) part.without.push_back(o);
    cut.takes[o] = at_most ? 1 : -1;
  }
  for (std::size_t c = 0; c < part.cuts.size(); ++c)
    if (part.cuts[c]->counts && part.cuts[c]->takes == cut.takes) {  // the wider one that it was in before
      part.cuts.erase(part.cuts.begin() + static_cast<std::ptrdiff_t>(c));
      part.price.erase(part.price.begin() + static_cast<std::ptrdiff_t>(f.rows + c));
      break;
    }
  if (!at_most || times > 0) part.add(std::move(cut));
}

}  // namespace

Scope scope_of(const Flat& f, const Part& part, const std::vector<char>& gone) {
  Scope s{gone, f.limit, part.cuts, part.in};
  for (std::uint64_t in = part.in; in; in &= in - 1) {
    const double* once = f.taken_once(static_cast<std::size_t>(std::countr_zero(in)));
    for (std::size_t r = 0; r < f.rows; ++r) s.limit[r] -= once[r];
  }
  for (std::size_t o = 0; o < f.options(); ++o) {
    if (f.devices[o] & part.out) s.gone[o] = 1;
    for (std::size_t r = 0; r < f.rows; ++r)
      if (f.taken(o)[r] > s.limit[r]) s.gone[o] = 1;
  }
  for (auto o : part.without) s.gone[o] = 1;
  for (auto o : part.with)
    for (std::size_t other = f.first[f.unit[o]]; other < f.first[f.unit[o] + 1]; ++other)
      if (other != o) s.gone[other] = 1;
  for (const auto& cut : part.cuts) s.limit.push_back(cut->limit);
  return s;
}

void find_open(const Flat& f, const Scope& s, Part& part) {
  part.unpaid = part.uneven = part.torn = Part::none;
  std::uint64_t used = 0;
  double most_uneven = 0, most_torn = 0, most_unpaid = -1;
  const std::vector<double> share = part.share(f), times = times_taken(f, share);
  for (std::size_t o = 0; o < f.options(); ++o) {
    if (share[o] > 0.02) used |= f.devices[o];
    const double broken = std::abs(times[o] - std::round(times[o])), open = std::min(share[o], 1 - share[o]);
    if (broken < 0.01 && open < 0.05) continue;
    const double at_stake = stake(f, s, part, o);
    if (broken >= 0.01 && at_stake * broken > most_uneven) most_uneven = at_stake * broken, part.uneven = o;
    if (open >= 0.05 && at_stake * open > most_torn) most_torn = at_stake * open, part.torn = o;
  }
  for (std::uint64_t left = used & f.charged & ~part.in & ~part.out; left; left &= left - 1) {
    const auto d = static_cast<std::size_t>(std::countr_zero(left));
    double value = 0;
    for (std::size_t r = 0; r < f.rows; ++r) value += part.price[r] * f.taken_once(d)[r];
    if (value > most_unpaid) most_unpaid = value, part.unpaid = d;
  }
}

std::optional<std::array<Part, 2>> divided(const Flat& f, const Part& part) {
  std::array<Part, 2> two{part, part};
  if (part.unpaid != Part::none && part.width == 0) {
    two[0].in |= std::uint64_t{1} << part.unpaid;
    two[1].out |= std::uint64_t{1} << part.unpaid;
  } else if (part.uneven != Part::none) {
    count(f, two[0], part.uneven, true);
    count(f, two[1], part.uneven, false);
  } else if (part.torn != Part::none && (part.slow || (part.width == 0 && coarse(f, part.torn)))) {
    two[0].with.push_back(part.torn);
    two[1].without.push_back(part.torn);
  } else {
    return std::nullopt;
  }
  for (Part& p : two) p.width = 0, p.slow = false;
  return two;
}

}  // namespace switchyard::scheduler
