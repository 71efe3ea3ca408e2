// SharedDevice: what all stages of an executor on one device share. That is safe because their jobs never overlap: one
// step's jobs wait for each other, a pipeline has one thread per device, and a step that failed is waited for.
#pragma once
#include "hal/device.h"

namespace switchyard::scheduler {

struct SharedDevice {
  hal::DeviceRef device;
  std::shared_ptr<hal::Queue> queue;
  hal::BufferRef scratch;                // the largest need of any program here
  hal::BufferRef rows_in;                // rows a job computes from
  hal::BufferRef bucket;                 // output of a program of fixed shapes, real rows and padding
  std::vector<hal::BufferRef> rows_out;  // by lane: rows of a job for the stage after it

  static hal::Result<std::shared_ptr<SharedDevice>> make(hal::DeviceRef device);
  // `buffer` has at least `bytes` afterwards (0: nothing is taken); what it held is lost if it grows.
  hal::Status reserve(hal::BufferRef& buffer, hal::Bytes bytes, hal::Memory memory, const char* label) const;
  hal::Bytes rows_bytes() const;
};

}  // namespace switchyard::scheduler
