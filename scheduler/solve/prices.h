// The best prices of a part of the problem, by column generation. Internal to solve/.
#pragma once
#include "scheduler/solve/search.h"

namespace switchyard::scheduler {

inline constexpr double same = 1e-9;  // costs that differ by less, as a share, need not be told apart

struct Path {
  std::vector<std::size_t> options;
  double cost;
};

// What is known of a part.
struct Priced {
  double bound = -never;                         // on every placement in it; never: there is none
  std::vector<std::shared_ptr<const Cut>> cuts;  // that hold in it
  std::vector<double> price;                     // of rows, then of cuts
  // The mixture of paths that is cheapest within all rows, so far as paths are known; weights are 1 in sum.
  std::vector<std::shared_ptr<const Path>> paths;
  std::vector<double> weight;

  void add(Cut cut);
  std::vector<double> share(const Flat& flat) const;  // [option]: in the mixture
  // A placement that follows one path of the mixture after another, each for as much of the chain as its weight. turn:
  // which one begins. Overcommitted by little.
  std::vector<std::size_t> rounded(const Flat& flat, std::size_t turn) const;
};

class Pricer {
 public:
  Pricer(const Flat& flat, Relaxed& relaxed, Search& search) : f_(flat), relaxed_(relaxed), search_(search) {}

  // Raises known.bound by better prices, until they are as good as prices get, or the bound reaches the best placement
  // found, or after `rounds`, or without effort; then adds cuts that the mixture breaks, `cuts` times. s: the part, its
  // cuts and limits those of `known`; grows with them. Offers the paths it meets to the search. Returns whether there
  // is a mixture: not if there is nothing more to learn of the part.
  bool ascend(Scope& s, Priced& known, int rounds, int cuts, Effort& effort);

 private:
  bool climb(const Scope& s, Priced& known, int rounds, Effort& effort);
  bool cut(Scope& s, Priced& known, Effort& effort);
  void overuse(const Scope& s, const Path& path, std::vector<double>& over, Effort& effort) const;

  const Flat& f_;
  Relaxed& relaxed_;
  Search& search_;
};

}  // namespace switchyard::scheduler
