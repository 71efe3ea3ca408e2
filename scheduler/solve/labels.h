// Search by labels: beginnings of placements, the dominated ones dropped. Internal to solve/.
#pragma once
#include "scheduler/solve/search.h"

namespace switchyard::scheduler {

// Returns a lower bound on the placements in the scope that fit (never: there is none; -never: more than eight rows can
// overflow, and labels tell nothing) and offers the best it meets.
// `relaxed` has just solved the scope at `price`; free: devices whose fixed part the scope's limits hold already.
// width: labels kept per unit; what is dropped for it is the gap that remains.
double search_labels(const Flat& flat, const Scope& scope, const Relaxed& relaxed, const std::vector<double>& price,
                     std::uint64_t free, std::size_t width, Search& search, Effort& effort);

}  // namespace switchyard::scheduler
