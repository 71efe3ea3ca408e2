// The placement problem without its meaning: a chain of units, each of which takes one of its options.
//
//   min  sum_u cost[o_u] + the moves between neighbours, from the host into the first and from the last back to it
//   s.t. for every row r:  what options and moves take of r + what each device used takes of it once <= limit[r]
//
// A row is whatever adds up and has a limit: a memory pool in bytes, a time in nanoseconds, a number of fallbacks.
// Where no row can overflow a shortest path is the optimum. Else prices on rows and on cuts (column generation) give a
// lower bound and a mixture of good paths, a local search makes placements of it, and branching on devices, on numbers
// of units that are alike and on units, with labels (cost, rows, devices used) and dominance, either proves the optimum
// or, cut at a limit, leaves a gap that is still a certificate.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace switchyard::scheduler {

inline constexpr double never = std::numeric_limits<double>::infinity();  // the cost of what is impossible

struct Option {
  double cost = 0;                  // finite, not negative
  std::size_t place = 0;            // where its input is expected and its output lies
  std::uint64_t devices = 0;        // a bit for each it uses
  std::vector<std::int64_t> takes;  // of every row; not negative, below 2^53 in sum
};

// What crossing a border costs. Places are numbered from 0; `Chain::host()` is the one before and after the chain.
struct Moves {
  std::vector<double> cost;         // [from * (places + 1) + to]
  std::vector<std::int64_t> takes;  // [(from * (places + 1) + to) * rows + row]; empty: nothing
};

struct Chain {
  std::size_t places = 0, devices = 0;           // devices: at most 64
  std::vector<std::int64_t> limit;               // [row]
  std::vector<std::vector<std::int64_t>> fixed;  // [device][row]: taken once if any unit uses the device
  std::vector<std::vector<Option>> units;
  std::vector<Moves> moves;         // tables, shared by borders that are alike
  std::vector<std::size_t> border;  // [units + 1]: the table of the border before unit u; the last: after all

  std::size_t rows() const { return limit.size(); }
  std::size_t host() const { return places; }
  double move(std::size_t u, std::size_t from, std::size_t to) const {
    return moves[border[u]].cost[from * (places + 1) + to];
  }
};

using Placement = std::vector<std::size_t>;  // per unit: a number among its options

bool is_placement(const Chain& chain, const Placement& x);  // an option of its own for every unit
double cost_of(const Chain& chain, const Placement& x);
std::vector<std::int64_t> taken_by(const Chain& chain, const Placement& x);  // per row
bool fits(const Chain& chain, const Placement& x);
double least_cost(const Chain& chain);  // without regard to limits: a shortest path; never: some unit has no option

struct ChainResult {
  Placement placement;        // empty: some unit has no option
  double cost = never;        // of the placement
  double bound = -never;      // no placement that fits costs less; never: none fits (proven)
  bool fits = false;          // false: the placement is the least overcommitted one that was found
  bool optimal = false;       // proven
  std::vector<double> price;  // per row: what one more of it would save at most, as far as the bound knows
  std::shared_ptr<const struct Kept> kept;  // for ChainOptions::before
};

struct ChainOptions {
  // Work allowed, where 1 is what is worth waiting for: about 5 ms of one core for 40 units with 4 options, 50 ms for
  // 100 with 8. Counted, not timed, so that the same problem has the same answer everywhere.
  double effort = 1;
  // An answer to the problem as it was before: its placement and prices are where this search begins.
  const ChainResult* before = nullptr;
};

// The effort of planning again from an answer before: 10 ms of one core for 100 units with 8 options.
inline constexpr double replan_effort = 0.15;

// Never returns an overcommitted placement as one that fits.
ChainResult solve(const Chain& chain, const ChainOptions& options = {});

}  // namespace switchyard::scheduler
