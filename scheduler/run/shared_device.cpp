#include "scheduler/run/shared_device.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;

Result<std::shared_ptr<SharedDevice>> SharedDevice::make(DeviceRef device) {
  auto shared = std::make_shared<SharedDevice>();
  HAL_TRY(shared->queue, device->create_queue(QueueKind::any));
  shared->device = std::move(device);
  return shared;
}

Status SharedDevice::reserve(BufferRef& buffer, Bytes bytes, Memory memory, const char* label) const {
  if (bytes == 0 || (buffer && buffer->bytes() >= bytes)) return ok();
  buffer = nullptr;  // first: the device need not hold both
  HAL_TRY(buffer, device->allocate({std::max<Bytes>(bytes, 64), memory, label}));
  return ok();
}

Bytes SharedDevice::rows_bytes() const {
  Bytes sum = 0;
  for (const auto& b : rows_out) sum += b ? b->bytes() : 0;
  for (const auto& b : {rows_in, bucket}) sum += b ? b->bytes() : 0;
  return sum;
}

}  // namespace switchyard::scheduler
