// The simulated devices: described by files, computing real numbers. For tests without hardware; README.md shows each
// part.
#pragma once
#include <string>
#include <vector>

#include "hal/backend.h"

namespace switchyard::backends {

// One device per file. A file that cannot be used becomes an Absence that names the file and the field.
hal::BackendRef make_sim(const std::vector<std::string>& files);

}  // namespace switchyard::backends
