#include "scheduler/solve/flat.h"

#include <algorithm>

namespace switchyard::scheduler {

Flat::Flat(const Chain& c) : units(c.units.size()), places(c.places) {
  const std::size_t table = (c.places + 1) * (c.places + 1);
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
      for (std::size_t i = 0; i < table && !c.moves[b].takes.empty(); ++i)
        largest = std::max(largest, c.moves[b].takes[i * c.rows() + r]);
      sum += largest;
    }
    if (sum > c.limit[r]) row_of.push_back(r);
  }
  rows = row_of.size();
  for (auto r : row_of) limit.push_back(static_cast<double>(c.limit[r]));
  for (std::size_t d = 0; d < c.devices; ++d)
    for (auto r : row_of) {
      fixed.push_back(static_cast<double>(c.fixed[d][r]));
      if (c.fixed[d][r] > 0) charged |= std::uint64_t{1} << d;
    }
  for (std::size_t u = 0; u < units; ++u) {
    first.push_back(cost.size());
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
  for (const Moves& m : c.moves) {
    auto& to = moved_tables_.emplace_back();
    for (std::size_t i = 0; i < table && !m.takes.empty(); ++i)
      for (auto r : row_of) to.push_back(static_cast<double>(m.takes[i * c.rows() + r]));
    if (std::all_of(to.begin(), to.end(), [](double v) { return v == 0; })) to.clear();
  }
  for (auto b : c.border) {
    move.push_back(c.moves[b].cost.data());
    moved.push_back(moved_tables_[b].empty() ? nullptr : moved_tables_[b].data());
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
