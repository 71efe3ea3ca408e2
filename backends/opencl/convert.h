// OpenCL's words for a device, in the hal's.
#pragma once
#include "backends/opencl/symbols.h"
#include "hal/info.h"

namespace switchyard::backends::opencl {

struct DeviceWords {
  hal::Info info;
  hal::Bytes memory = 0;  // CL_DEVICE_GLOBAL_MEM_SIZE
  bool unified = false;   // the device's memory is the host's
};

hal::Result<DeviceWords> words_of(const Symbols& cl, cl_platform_id platform, cl_device_id device, std::size_t index);

}  // namespace switchyard::backends::opencl
