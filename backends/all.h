// The explicit list of built-in backends: no static registration.
#pragma once
#include <string>
#include <vector>

#include "hal/backend.h"

namespace switchyard::backends {

struct Options {
  std::vector<std::string> sims;  // files that describe sim devices; see backends/sim/README.md
};

// Those this build has, in a fixed order: cpu, sim (if any file is named), cuda, vulkan, opencl.
std::vector<hal::BackendRef> all(const Options& options);

// What this build leaves out, as absences with the reason ("built without ...: header not found").
std::vector<hal::Absence> left_out();

}  // namespace switchyard::backends
