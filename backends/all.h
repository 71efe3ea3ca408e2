// The explicit list of built-in backends: no static registration.
#pragma once
#include <string>
#include <vector>

#include "backends/remote.h"

namespace switchyard::backends {

struct Options {
  std::vector<std::string> sims;    // files that describe sim devices; see backends/sim/README.md
  std::vector<std::string> remote;  // names of backends that run in a process of their own each, as host says
  remote::Options host;
};

// Those this build has, in a fixed order: cpu, sim (if any file is named), cuda, vulkan, opencl.
std::vector<hal::BackendRef> all(const Options& options);

// What this build leaves out, as absences with the reason ("built without ...: header not found").
std::vector<hal::Absence> left_out();

}  // namespace switchyard::backends
