// Rows that follow from a row because units and devices are whole. Internal to solve/.
#pragma once
#include <optional>

#include "scheduler/solve/relaxed.h"

namespace switchyard::scheduler {

// Cuts that follow from this row and that these shares of options break most, if any do; valid in every scope whose
// limit of the row is not higher. One charges what each device takes once to the unit that uses it most; one rounds
// that (mixed integer rounding, Nemhauser and Wolsey 1990).
std::vector<Cut> broken_cuts(const Flat& flat, const Scope& scope, std::size_t row, const std::vector<double>& share);

// The cut of this origin in another scope or problem; none: it would say little there.
std::optional<Cut> cut_from(const Flat& flat, const Scope& scope, const Cut::Origin& origin);

}  // namespace switchyard::scheduler
