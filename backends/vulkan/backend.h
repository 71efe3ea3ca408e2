// The Vulkan backend: Vulkan 1.1 devices through the loader found at run time. See README.md.
#pragma once
#include "hal/backend.h"

namespace switchyard::backends {

hal::BackendRef make_vulkan();

// Errors that the validation layer has reported in this process: 0 unless SWITCHYARD_VULKAN_VALIDATION=1 found some.
std::uint64_t vulkan_validation_errors();

}  // namespace switchyard::backends
