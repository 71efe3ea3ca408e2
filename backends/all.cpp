#include "backends/all.h"

namespace switchyard::backends {

std::vector<hal::BackendRef> all(const Options&) { return {}; }

std::vector<hal::Absence> left_out() { return {}; }

}  // namespace switchyard::backends
