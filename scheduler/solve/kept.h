// What an answer keeps of its root for the search of a problem that is nearly the same. Internal to solve/.
#pragma once
#include "scheduler/solve/prices.h"

namespace switchyard::scheduler {

struct Kept {
  std::vector<std::pair<Cut::Origin, double>> cuts;  // and prices
  std::vector<Placement> mixture;
  std::vector<double> weight;
};

// Rows are numbered as in the chain.
std::shared_ptr<const Kept> kept_of(const Flat& flat, const Priced& root);

// Gives the root what `before` knew and what still makes sense: prices, cuts, paths. s: the root's scope; grows with
// its cuts.
void take_over(const Chain& chain, const Flat& flat, const ChainResult& before, Scope& s, Priced& root);

}  // namespace switchyard::scheduler
