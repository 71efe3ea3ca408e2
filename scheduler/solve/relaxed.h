// The chain with its limits replaced by prices: a shortest path, and what it proves. Internal to solve/.
#pragma once
#include <memory>

#include "scheduler/solve/flat.h"

namespace switchyard::scheduler {

// A row that only bounds know of: whatever fits within a scope's limits fits within it too, or it is what a part of all
// placements has in common. Moves take nothing of it.
struct Cut {
  struct Charge {  // what a device takes once, as if only this unit's use of it counted
    std::size_t device, unit;
  };
  struct Origin {  // in a row, see cuts.h
    std::size_t row = 0;
    double divisor = 0;  // 0: not rounded
    std::vector<Charge> charged;
  };
  std::vector<double> takes;  // [option]; may be negative
  double limit = 0;
  bool counts = false;  // it says how often a part takes some options: not all that fits keeps it
  Origin origin = {};   // if not
};

// What of the problem is looked at: options that are left, and limits less what the devices taken for granted take.
struct Scope {
  std::vector<char> gone;                        // [option]
  std::vector<double> limit;                     // [row], then of every cut
  std::vector<std::shared_ptr<const Cut>> cuts;  // numbered behind the rows
  std::uint64_t paid = 0;                        // devices that are taken for granted
};

class Relaxed {
 public:
  explicit Relaxed(const Flat& flat) : f_(flat) {}

  // A lower bound on every placement within the scope; never: some unit has no option left. price: of rows, then cuts.
  double solve(const Scope& scope, const std::vector<double>& price, Effort& effort);
  // Of the last solve(): its path, as option numbers.
  const std::vector<std::size_t>& path() const { return path_; }
  double cost() const;  // of the path, without prices
  // Of the last solve(): an option's cost with the prices of what it takes, a move's likewise, prices times limits.
  double priced(std::size_t option) const { return priced_[option]; }
  double crossing(std::size_t border, std::size_t from, std::size_t to) const;
  double refund() const { return refund_; }
  // Cheapest from behind unit u, in this place, to the end; prices included.
  double rest(std::size_t u, std::size_t place) const { return rest_[u * f_.places + place]; }
  // The bound on placements that take an option, for every option.
  void bounds_with_each(const Scope& scope, std::vector<double>& bound, Effort& effort);

 private:
  const Flat& f_;
  std::vector<double> price_, priced_, rest_, entered_;
  std::vector<std::size_t> best_, path_;  // best_: [unit * places + place], the option that is cheapest there
  double refund_ = 0;
};

}  // namespace switchyard::scheduler
