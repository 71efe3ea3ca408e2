// A chain as flat arrays, with only the rows that can overflow. What is taken of a row is a double: a whole number
// below 2^53, so sums are exact. Options are numbered through all units. Internal to solve/.
#pragma once
#include "scheduler/solve/chain.h"

namespace switchyard::scheduler {

struct Flat {
  explicit Flat(const Chain& chain);

  std::size_t units, places, rows = 0;
  std::vector<std::size_t> first;  // [units + 1]: options of unit u are [first[u], first[u + 1])
  std::vector<std::size_t> unit;   // [option]
  std::vector<std::size_t> alike;  // [option]: the first one that is the same, of a unit with the same options
  std::vector<double> cost;        // [option]
  std::vector<std::size_t> place;  // [option]
  std::vector<std::uint64_t> devices;
  std::vector<double> takes;         // [option * rows + row]
  std::vector<double> by_row;        // [row * options + option]: the same
  std::vector<double> most;          // [option]: of any row of the chain
  std::vector<const double*> move;   // [units + 1]: a border's table, as in Moves
  std::vector<const double*> moved;  // [units + 1]: what its moves take, or null
  std::vector<char> moves_take;      // [row]: some move takes of it
  std::vector<double> limit;         // [row]; less what devices take that no use of it is without, see .cpp
  std::vector<std::size_t> row_of;   // [row]: its number in the chain
  std::vector<double> fixed;         // [device * rows + row]
  std::uint64_t charged = 0;         // devices with a fixed part in some row here
  bool all_have_options = true;      // else nothing can be placed
  double dearest = 1e-9;             // no placement costs more

  std::size_t at(std::size_t from, std::size_t to) const { return from * (places + 1) + to; }
  std::size_t host() const { return places; }
  std::size_t options() const { return cost.size(); }
  const double* taken(std::size_t option) const { return takes.data() + option * rows; }
  const double* taken_once(std::size_t device) const { return fixed.data() + device * rows; }
  // What the options and moves of a placement take of every row; what devices take once is not in it.
  void take(const std::vector<std::size_t>& options, std::vector<double>& taken) const;
  Placement placement(const std::vector<std::size_t>& options) const;  // from numbers here to numbers within units
  std::vector<std::size_t> options(const Placement& x) const;

 private:
  void pay_in_advance(std::size_t devices);

  std::vector<std::vector<double>> moved_tables_;
};

// Work done and allowed, in steps of some nanoseconds.
struct Effort {
  double allowed = 0, done = 0;
  bool left() const { return done < allowed; }
};

}  // namespace switchyard::scheduler
