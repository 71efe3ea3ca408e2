// Parts that the placements are divided into, and what divides them further. Internal to solve/.
#pragma once
#include <array>
#include <optional>

#include "scheduler/solve/prices.h"

namespace switchyard::scheduler {

// The placements that use the devices `in` (whose fixed parts are taken off the limits) and not `out`, take the options
// `with` and none of `without`, and keep the cuts that say how often options that are alike are taken.
struct Part : Priced {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  std::uint64_t in = 0, out = 0;
  std::vector<std::size_t> with, without;
  // What the mixture leaves open, each where most is at stake at the prices, or none:
  std::size_t unpaid = none;  // an undecided device that it uses without paying the fixed part
  std::size_t uneven = none;  // the first of alike options that it takes a broken number of
  std::size_t torn = none;    // an option that it takes and does not take
  std::size_t width = 0;      // of the labels last tried
  bool slow = false;          // wider ones raised the bound too little
};

// gone: options out of question everywhere.
Scope scope_of(const Flat& flat, const Part& part, const std::vector<char>& gone);

// Finds what the part's mixture leaves open. s: the part's scope.
void find_open(const Flat& flat, const Scope& s, Part& part);

// Into two, which are not priced yet. How far labels came decides whether single options are worth dividing on.
std::optional<std::array<Part, 2>> divided(const Flat& flat, const Part& part);

}  // namespace switchyard::scheduler
