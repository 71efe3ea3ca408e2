// The placement problem without its meaning: a chain of units, each on one device, under memory pools.
//
//   min  enter[x_0] + sum_u cost[u][x_u] + sum_u move[u][x_{u-1}][x_u] + leave[x_last]
//   s.t. for every pool p:  sum_u bytes[u][x_u][p] + sum_{d used} fixed[d][p] <= capacity[p]
//
// Where no pool can overflow, a shortest path is the optimum. Else: prices on memory (a Lagrangian) give a lower bound
// and good paths, a local search improves them, and labels (cost, bytes, devices used) with dominance either prove the
// optimum or, cut at a limit, leave a gap that is still a certificate. Deterministic: the limits count labels and
// rounds, not seconds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace switchyard::scheduler {

inline constexpr double never = std::numeric_limits<double>::infinity();  // the cost of what is refused

struct Chain {
  std::size_t units = 0, devices = 0, pools = 0;  // devices: at most 64
  std::vector<double> cost;                       // [unit][device]
  std::vector<double> move;                       // [unit][from][to]; of unit 0 not read
  std::vector<double> enter, leave;               // [device]
  std::vector<std::int64_t> bytes;                // [unit][device][pool]
  std::vector<std::int64_t> fixed;                // [device][pool]
  std::vector<std::int64_t> capacity;             // [pool]

  void resize(std::size_t unit_count, std::size_t device_count, std::size_t pool_count);
  double& cost_at(std::size_t u, std::size_t d) { return cost[u * devices + d]; }
  double cost_at(std::size_t u, std::size_t d) const { return cost[u * devices + d]; }
  double& move_at(std::size_t u, std::size_t a, std::size_t b) { return move[(u * devices + a) * devices + b]; }
  double move_at(std::size_t u, std::size_t a, std::size_t b) const { return move[(u * devices + a) * devices + b]; }
  std::int64_t& bytes_at(std::size_t u, std::size_t d, std::size_t p) { return bytes[(u * devices + d) * pools + p]; }
  std::int64_t bytes_at(std::size_t u, std::size_t d, std::size_t p) const {
    return bytes[(u * devices + d) * pools + p];
  }
  std::int64_t fixed_at(std::size_t d, std::size_t p) const { return fixed[d * pools + p]; }
};

using Placement = std::vector<std::size_t>;  // a device per unit

double cost_of(const Chain& chain, const Placement& x);                      // never: a unit is refused there
std::vector<std::int64_t> bytes_of(const Chain& chain, const Placement& x);  // per pool
bool fits(const Chain& chain, const Placement& x);

struct ChainOptions {
  std::size_t labels = 1000;  // kept per unit
  int rounds = 40;            // of the local search
};

struct ChainResult {
  Placement placement;    // empty: some unit is refused everywhere
  double cost = never;    // of the placement
  double bound = -never;  // no placement that fits costs less; never: none fits (proven)
  bool fits = false;      // false: the placement is the least overcommitted one that was found
  bool optimal = false;   // proven
};

// Never returns an overcommitted placement as one that fits.
ChainResult solve(const Chain& chain, const ChainOptions& options = {});

// The shortest path without regard to memory, with memory priced (per byte and pool; empty: free).
Placement shortest_path(const Chain& chain, const std::vector<double>& price, double* value);

}  // namespace switchyard::scheduler
