#include "scheduler/plan/chain.h"

#include <algorithm>
#include <cmath>

#include "scheduler/plan/search.h"

namespace switchyard::scheduler {

void Chain::resize(std::size_t unit_count, std::size_t device_count, std::size_t pool_count) {
  units = unit_count;
  devices = device_count;
  pools = pool_count;
  cost.assign(units * devices, never);
  move.assign(units * devices * devices, 0);
  enter.assign(devices, 0);
  leave.assign(devices, 0);
  bytes.assign(units * devices * pools, 0);
  fixed.assign(devices * pools, 0);
  capacity.assign(pools, 0);
}

double cost_of(const Chain& c, const Placement& x) {
  double total = c.enter[x.front()] + c.leave[x.back()];
  for (std::size_t u = 0; u < c.units; ++u) total += c.cost_at(u, x[u]) + (u ? c.move_at(u, x[u - 1], x[u]) : 0);
  return total;
}

std::vector<std::int64_t> bytes_of(const Chain& c, const Placement& x) {
  std::vector<std::int64_t> used(c.pools, 0);
  std::vector<bool> seen(c.devices, false);
  for (std::size_t u = 0; u < c.units; ++u)
    for (std::size_t p = 0; p < c.pools; ++p) {
      used[p] += c.bytes_at(u, x[u], p) + (seen[x[u]] ? 0 : c.fixed_at(x[u], p));
      if (p + 1 == c.pools) seen[x[u]] = true;
    }
  return used;
}

bool fits(const Chain& c, const Placement& x) {
  auto used = bytes_of(c, x);
  for (std::size_t p = 0; p < c.pools; ++p)
    if (used[p] > c.capacity[p]) return false;
  return true;
}

double to_go(const Chain& c, const std::vector<double>& price, std::vector<double>& rest) {
  rest.assign(c.units * c.devices, never);
  auto priced = [&](std::size_t u, std::size_t d) {
    double v = c.cost_at(u, d);
    for (std::size_t p = 0; p < price.size(); ++p) v += price[p] * static_cast<double>(c.bytes_at(u, d, p));
    return v;
  };
  for (std::size_t d = 0; d < c.devices; ++d) rest[(c.units - 1) * c.devices + d] = c.leave[d];
  for (std::size_t u = c.units - 1; u-- > 0;)
    for (std::size_t d = 0; d < c.devices; ++d)
      for (std::size_t e = 0; e < c.devices; ++e)
        rest[u * c.devices + d] = std::min(rest[u * c.devices + d],
                                           c.move_at(u + 1, d, e) + priced(u + 1, e) + rest[(u + 1) * c.devices + e]);
  double best = never;
  for (std::size_t d = 0; d < c.devices; ++d) best = std::min(best, c.enter[d] + priced(0, d) + rest[d]);
  for (std::size_t p = 0; p < price.size(); ++p) best -= price[p] * static_cast<double>(c.capacity[p]);
  return best;
}

Placement trace(const Chain& c, const std::vector<double>& price, const std::vector<double>& rest) {
  Placement x(c.units, 0);
  for (std::size_t u = 0; u < c.units; ++u) {
    double best = never;
    for (std::size_t d = 0; d < c.devices; ++d) {
      double v = c.cost_at(u, d) + rest[u * c.devices + d] + (u ? c.move_at(u, x[u - 1], d) : c.enter[d]);
      for (std::size_t p = 0; p < price.size(); ++p) v += price[p] * static_cast<double>(c.bytes_at(u, d, p));
      if (v < best) best = v, x[u] = d;
    }
  }
  return x;
}

Placement shortest_path(const Chain& c, const std::vector<double>& price, double* value) {
  std::vector<double> rest;
  double v = to_go(c, price, rest);
  if (value) *value = v;
  return v < never ? trace(c, price, rest) : Placement{};
}

namespace {

// The same problem with only the pools that can overflow.
Chain without_slack(const Chain& c) {
  std::vector<std::size_t> tight;
  for (std::size_t p = 0; p < c.pools; ++p) {
    std::int64_t most = 0;
    for (std::size_t d = 0; d < c.devices; ++d) most += c.fixed_at(d, p);
    for (std::size_t u = 0; u < c.units; ++u) {
      std::int64_t largest = 0;
      for (std::size_t d = 0; d < c.devices; ++d)
        if (c.cost_at(u, d) < never) largest = std::max(largest, c.bytes_at(u, d, p));
      most += largest;
    }
    if (most > c.capacity[p]) tight.push_back(p);
  }
  Chain t = c;
  t.pools = tight.size();
  t.bytes.clear();
  t.fixed.clear();
  t.capacity.clear();
  for (std::size_t i = 0; i < c.units * c.devices; ++i)
    for (auto p : tight) t.bytes.push_back(c.bytes[i * c.pools + p]);
  for (std::size_t d = 0; d < c.devices; ++d)
    for (auto p : tight) t.fixed.push_back(c.fixed_at(d, p));
  for (auto p : tight) t.capacity.push_back(c.capacity[p]);
  return t;
}

// Subgradient ascent on the prices of memory. Returns the best bound; `price` and `rest` are those that gave it.
double ascend(const Chain& c, Search& search, std::vector<double>& price, std::vector<double>& rest) {
  price.assign(c.pools, 0);
  std::vector<double> trial = price, trial_rest;
  double best = -never, reach = 1.2;
  int stalled = 0;
  for (int round = 0; round < 200 && reach > 1e-4; ++round) {
    double value = to_go(c, trial, trial_rest);
    Placement x = trace(c, trial, trial_rest);
    search.offer(x);
    if (round % 8 == 0) search.repair_and_offer(x);
    if (round == 0 || value > best + 1e-12 * std::abs(best)) {
      best = value;
      price = trial;
      rest = trial_rest;
      stalled = 0;
    } else if (++stalled > 6) {
      reach *= 0.6;
      stalled = 0;
      trial = price;
    }
    if (best >= search.best_cost * (1 - 1e-12)) break;
    // Shares of the pool used beyond its capacity; of a pool that is free and not full, nothing.
    std::vector<double> over(c.pools, 0);
    double norm = 0;
    for (std::size_t p = 0; p < c.pools; ++p) {
      double used = 0;
      for (std::size_t u = 0; u < c.units; ++u) used += static_cast<double>(c.bytes_at(u, x[u], p));
      double cap = std::max(1.0, static_cast<double>(c.capacity[p]));
      over[p] = (used - static_cast<double>(c.capacity[p])) / cap;
      if (trial[p] <= 0 && over[p] < 0) over[p] = 0;
      norm += over[p] * over[p];
    }
    if (norm < 1e-18) break;
    double target = search.best_cost < never ? search.best_cost : best + 0.1 * std::abs(best) + 1e-9;
    double step = reach * std::max(1e-6 * std::abs(best), target - value) / norm;
    for (std::size_t p = 0; p < c.pools; ++p)
      trial[p] = std::max(0.0, trial[p] + step * over[p] / std::max(1.0, static_cast<double>(c.capacity[p])));
  }
  return best;
}

}  // namespace

ChainResult solve(const Chain& chain, const ChainOptions& options) {
  ChainResult result;
  double free_cost = never;
  Placement free_path = shortest_path(chain, {}, &free_cost);
  if (free_path.empty()) return result;
  if (fits(chain, free_path)) return {free_path, free_cost, free_cost, true, true};

  Chain tight = without_slack(chain);
  Search search(tight);
  std::vector<double> price, rest;
  double dual = std::max(free_cost, ascend(tight, search, price, rest));
  search.improve(options.rounds);
  double labels = search_labels(tight, price, rest, options.labels, search);
  result.bound = std::min(std::max(dual, labels), search.best_cost);
  if (search.best.empty()) {
    result.placement = search.least_overcommitted(free_path);
    result.cost = cost_of(chain, result.placement);
    return result;
  }
  result.placement = search.best;
  result.cost = cost_of(chain, result.placement);
  result.fits = fits(chain, result.placement);
  result.bound = std::min(result.bound, result.cost);
  result.optimal = result.fits && result.bound >= result.cost * (1 - 1e-9);
  return result;
}

}  // namespace switchyard::scheduler
