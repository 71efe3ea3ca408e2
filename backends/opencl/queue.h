// Queues: a host thread that enqueues a submission on an in-order command queue and waits for its end.
#pragma once
#include "backends/opencl/device.h"
#include "hal/program.h"

namespace switchyard::backends::opencl {

hal::Result<std::shared_ptr<hal::Queue>> make_queue(std::shared_ptr<Device> device);

}  // namespace switchyard::backends::opencl
