#include "scheduler/solve/chain.h"

#include <algorithm>

namespace switchyard::scheduler {

bool is_placement(const Chain& c, const Placement& x) {
  if (x.size() != c.units.size()) return false;
  for (std::size_t u = 0; u < x.size(); ++u)
    if (x[u] >= c.units[u].size()) return false;
  return true;
}

double cost_of(const Chain& c, const Placement& x) {
  double total = 0;
  std::size_t from = c.host();
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    const Option& o = c.units[u][x[u]];
    total += c.move(u, from, o.place) + o.cost;
    from = o.place;
  }
  return total + c.move(c.units.size(), from, c.host());
}

std::vector<std::int64_t> taken_by(const Chain& c, const Placement& x) {
  std::vector<std::int64_t> taken(c.rows(), 0);
  std::uint64_t used = 0;
  std::size_t from = c.host();
  auto move = [&](std::size_t u, std::size_t to) {
    const Moves& m = c.moves[c.border[u]];
    for (std::size_t r = 0; r < c.rows() && !m.takes.empty(); ++r)
      taken[r] += m.takes[(from * (c.places + 1) + to) * c.rows() + r];
    from = to;
  };
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    const Option& o = c.units[u][x[u]];
    move(u, o.place);
    used |= o.devices;
    for (std::size_t r = 0; r < c.rows(); ++r) taken[r] += o.takes[r];
  }
  move(c.units.size(), c.host());
  for (std::size_t d = 0; d < c.devices; ++d)
    for (std::size_t r = 0; r < c.rows() && used >> d & 1; ++r) taken[r] += c.fixed[d][r];
  return taken;
}

bool fits(const Chain& c, const Placement& x) {
  const auto taken = taken_by(c, x);
  for (std::size_t r = 0; r < c.rows(); ++r)
    if (taken[r] > c.limit[r]) return false;
  return true;
}

double least_cost(const Chain& c) {
  std::vector<double> here(c.places + 1, never), next(c.places + 1);
  here[c.host()] = 0;
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    std::fill(next.begin(), next.end(), never);
    for (const Option& o : c.units[u])
      for (std::size_t from = 0; from <= c.places; ++from)
        if (here[from] < never) next[o.place] = std::min(next[o.place], here[from] + c.move(u, from, o.place) + o.cost);
    here.swap(next);
  }
  double least = never;
  for (std::size_t k = 0; k < c.places; ++k)
    if (here[k] < never) least = std::min(least, here[k] + c.move(c.units.size(), k, c.host()));
  return least;
}

}  // namespace switchyard::scheduler
