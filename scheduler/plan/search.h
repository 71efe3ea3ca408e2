// The parts of solve(): a local search that only ever keeps placements that fit, and the search by labels. Internal.
#pragma once
#include "scheduler/plan/chain.h"

namespace switchyard::scheduler {

// Cheapest cost from unit u on device d to the end (d's own cost at u not included), memory priced: rest[u][d].
// Returns the lower bound at these prices; never: some unit is refused everywhere.
double to_go(const Chain& chain, const std::vector<double>& price, std::vector<double>& rest);
Placement trace(const Chain& chain, const std::vector<double>& price, const std::vector<double>& rest);

class Search {
 public:
  explicit Search(const Chain& chain) : c_(chain) {}

  Placement best;
  double best_cost = never;

  void offer(const Placement& x);             // kept if it fits and is the cheapest so far
  void repair_and_offer(const Placement& x);  // moves units until it fits, then improves it
  void improve(int rounds);                   // from the best so far: shake an interval, repair, descend
  Placement least_overcommitted(const Placement& from);

 private:
  void set(const Placement& x);
  void put(std::size_t u, std::size_t d);
  double around(std::size_t u, std::size_t d) const;  // cost of u and of the moves at both its sides
  double over() const;                                // shares of the pools used beyond their capacity
  bool repair();
  void descend();
  std::size_t random(std::size_t n);

  const Chain& c_;
  Placement x_;
  std::vector<std::int64_t> used_;
  std::vector<int> count_;  // units per device
  std::uint64_t state_ = 88172645463325252ull;
};

// Returns a lower bound on all placements that fit (never: there is none) and offers the best it meets.
double search_labels(const Chain& chain, const std::vector<double>& price, const std::vector<double>& rest,
                     std::size_t limit, Search& search);

}  // namespace switchyard::scheduler
