// Rows that follow from a row because units are whole. Internal to solve/.
#pragma once
#include <optional>

#include "scheduler/solve/relaxed.h"

namespace switchyard::scheduler {

// Of the cuts that follow from this row (mixed integer rounding, Nemhauser and Wolsey 1990), the one that these shares
// of options break most; none: all hold. Valid in every scope whose limit of the row is not higher.
std::optional<Cut> broken_cut(const Flat& flat, const Scope& scope, std::size_t row, const std::vector<double>& share);

}  // namespace switchyard::scheduler
