// Queues: a host thread that submits each submission's commands and waits for their fence.
#pragma once
#include "backends/vulkan/device.h"
#include "hal/shared/host_queue.h"

namespace switchyard::backends::vulkan {

// keep_alive: the device.
hal::Result<std::shared_ptr<hal::Queue>> make_queue(std::shared_ptr<Context> context,
                                                    std::shared_ptr<const void> keep_alive);

}  // namespace switchyard::backends::vulkan
