// How others place layers, as far as their rules are public, on the same problem: what a plan is measured against.
// Every rule is told the true memory; where a rule names no way out, a unit that does not fit goes to its next choice.
#pragma once
#include <optional>
#include <span>

#include "hal/info.h"
#include "scheduler/solve/chain.h"

namespace switchyard::test {

using scheduler::Chain;
using scheduler::Placement;

// What the rules look at besides memory and time.
struct Roles {
  std::vector<hal::Kind> device;  // kinds, one per device
  std::vector<bool> experts;      // per unit: mostly the weights of a mixture of experts
};

struct Rule {
  const char* name;
  const char* what;  // one line for people
  // A placement that fits, or none. The place of an option is taken for its device.
  std::optional<Placement> (*place)(const Chain& chain, const Roles& roles);
};

std::span<const Rule> all_rules();

}  // namespace switchyard::test
