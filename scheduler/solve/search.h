// A local search that only ever keeps placements that fit. Internal to solve/.
#pragma once
#include "scheduler/solve/relaxed.h"

namespace switchyard::scheduler {

class Search {
 public:
  explicit Search(const Flat& flat) : f_(flat) {}

  std::vector<std::size_t> best;  // option numbers; empty: none that fits was found
  double best_cost = never;

  bool offer(const std::vector<std::size_t>& x);  // kept if it fits and is the cheapest so far
  // Changes x until it fits, at the least cost for what it frees, then improves it.
  void repair_and_offer(const Scope& scope, const std::vector<std::size_t>& x, Effort& effort);
  // Against everything in one place (what has no option there: its cheapest), the options that save most for what they
  // take, while they fit; for each place in turn.
  void greedy(const Scope& scope, Effort& effort);
  // From the best so far: shake some units, repair, descend. Ends after `rounds`, or when no effort is left.
  void improve(const Scope& scope, int rounds, Effort& effort);
  std::vector<std::size_t> least_overcommitted(const Scope& scope, const std::vector<std::size_t>& from,
                                               Effort& effort);

 private:
  std::vector<std::size_t> filled(const Scope& scope, const std::vector<std::size_t>& base, bool by_share);
  void set(const std::vector<std::size_t>& x);
  void put(std::size_t option);
  double around(std::size_t option) const;  // its cost and that of the moves at both its sides
  double extra(std::size_t option) const { return around(option) - around(x_[f_.unit[option]]); }
  void take(std::size_t option, double sign);
  void pay(std::size_t option, double sign);  // what its devices take once
  void moves_beside(std::size_t unit, double sign);
  double over() const;  // shares of the rows used beyond their limits
  bool repair(const Scope& scope, Effort& effort);
  void descend(const Scope& scope, Effort& effort);
  bool exchange(const Scope& scope, Effort& effort);
  std::size_t random(std::size_t n);

  const Flat& f_;
  std::vector<std::size_t> x_;
  std::vector<double> used_;
  std::vector<int> count_;  // units per device
  std::uint64_t state_ = 88172645463325252ull;
};

}  // namespace switchyard::scheduler
