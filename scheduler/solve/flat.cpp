#include "scheduler/solve/flat.h"

#include <algorithm>
#include <bit>

namespace switchyard::scheduler {

Flat::Flat(const Chain& c) : units(c.units.size()), places(c.places) {
  const std::size_t pairs = (c.places + 1) * (c.places + 1);
  for (std::size_t r = 0; r < c.rows(); ++r) {
    std::int64_t sum = 0;
    for (std::size_t d = 0; d < c.devices; ++d) sum += c.fixed[d][r];
    for (const auto& options : c.units) {
      std::int64_t largest = 0;
      for (const Option& o : options) largest = std::max(largest, o.takes[r]);
      sum += largest;
    }
    for (auto b : c.border) {
      std::int64_t largest = 0;
      for (std::size_t i = 0; i < pairs && !c.moves[b].takes.empty(); ++i)
        largest = std::max(largest, c.moves[b].takes[i * c.rows() + r]);
      sum += largest;
    }
    if (sum > c.limit[r]) row_of.push_back(r);
  }
  rows = row_of.size();
  for (auto r : row_of) limit.push_back(static_cast<double>(c.limit[r]));
  for (std::size_t d = 0; d < c.devices; ++d)
    for (auto r : row_of) fixed.push_back(static_cast<double>(c.fixed[d][r]));
  auto same = [](const Option& a, const Option& b) {
    return a.cost == b.cost && a.place == b.place && a.devices == b.devices && a.takes == b.takes;
  };
  for (std::size_t u = 0; u < units; ++u) {
    first.push_back(cost.size());
    const auto& options = c.units[u];
    std::size_t like = 0;
    while (like < u && !std::equal(options.begin(), options.end(), c.units[like].begin(), c.units[like].end(), same))
      ++like;
    for (std::size_t i = 0; i < options.size(); ++i) alike.push_back(first[like] + i);
    all_have_options = all_have_options && !c.units[u].empty();
    for (const Option& o : c.units[u]) {
      unit.push_back(u);
      cost.push_back(o.cost);
      place.push_back(o.place);
      devices.push_back(o.devices);
      for (auto r : row_of) takes.push_back(static_cast<double>(o.takes[r]));
      most.push_back(o.takes.empty() ? 0 : static_cast<double>(*std::max_element(o.takes.begin(), o.takes.end())));
    }
  }
  first.push_back(cost.size());
  for (std::size_t u = 0; u <= units; ++u) {
    double crossing = 0, option = 0;
    for (double v : c.moves[c.border[u]].cost)
      if (v < never) crossing = std::max(crossing, v);
    for (std::size_t o = first[u]; u < units && o < first[u + 1]; ++o) option = std::max(option, cost[o]);
    dearest += crossing + option;
  }
  for (const Moves& m : c.moves) {
    auto& to = moved_tables_.emplace_back();
    for (std::size_t i = 0; i < pairs && !m.takes.empty(); ++i)
      for (auto r : row_of) to.push_back(static_cast<double>(m.takes[i * c.rows() + r]));
    if (std::all_of(to.begin(), to.end(), [](double v) { return v == 0; })) to.clear();
  }
  for (auto b : c.border) {
    move.push_back(c.moves[b].cost.data());
    moved.push_back(moved_tables_[b].empty() ? nullptr : moved_tables_[b].data());
  }
  moves_take.assign(rows, 0);
  for (const auto& table : moved_tables_)
    for (std::size_t i = 0; i < table.size(); ++i) moves_take[i % rows] |= table[i] > 0;
  pay_in_advance(c.devices);
  by_row.resize(takes.size());
  for (std::size_t o = 0; o < options(); ++o)
    for (std::size_t r = 0; r < rows; ++r) by_row[r * options() + o] = taken(o)[r];
}

// A device that is used wherever anything, fixed parts included, is taken of a row has its own fixed part taken off the
// limit: a placement either takes nothing of the row, as before, or pays for the device, and the sum moves with the
// limit. That leaves the same problem with one part less, so the same holds for the next. The others need a decision.
void Flat::pay_in_advance(std::size_t devices_there) {
  for (std::size_t r = 0; r < rows; ++r) {
    std::uint64_t once = 0;
    for (std::size_t d = 0; d < devices_there; ++d)
      if (taken_once(d)[r] > 0) once |= std::uint64_t{1} << d;
    while (once && !moves_take[r]) {
      std::uint64_t always = once;
      for (std::size_t o = 0; o < options(); ++o)
        if (taken(o)[r] > 0 || devices[o] & once) always &= devices[o];
      if (!always) break;
      const auto d = static_cast<std::size_t>(std::countr_zero(always));
      double& part = fixed[d * rows + r];
      if (part > limit[r]) break;
      limit[r] -= part;
      part = 0;
      once &= ~(std::uint64_t{1} << d);
    }
    charged |= once;
  }
}

void Flat::take(const std::vector<std::size_t>& options, std::vector<double>& taken) const {
  taken.assign(rows, 0);
  std::size_t from = host();
  for (std::size_t u = 0; u <= units; ++u) {
    const std::size_t to = u < units ? place[options[u]] : host();
    for (std::size_t r = 0; r < rows; ++r) {
      if (moved[u]) taken[r] += moved[u][at(from, to) * rows + r];
      if (u < units) taken[r] += this->taken(options[u])[r];
    }
    from = to;
  }
}

Placement Flat::placement(const std::vector<std::size_t>& options) const {
  Placement x(units);
  for (std::size_t u = 0; u < units; ++u) x[u] = options[u] - first[u];
  return x;
}

std::vector<std::size_t> Flat::options(const Placement& x) const {
  std::vector<std::size_t> numbers(units);
  for (std::size_t u = 0; u < units; ++u) numbers[u] = first[u] + x[u];
  return numbers;
}

}  // namespace switchyard::scheduler
