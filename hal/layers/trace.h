// A Device around a Device that writes down when each submission and each of its nodes ran, for Perfetto or
// chrome://tracing.
#pragma once
#include <memory>

#include "hal/device.h"

namespace switchyard::hal {

// One file for any number of devices; a process per device, a thread per queue. Any thread.
class Trace {
 public:
  // Nothing is written before flush() or the end. spans: ask for the times of single nodes, which may cost barriers.
  static std::shared_ptr<Trace> open(std::string path, bool spans = true);
  virtual ~Trace() = default;  // flushes; an error is lost then

  // Its queues' submissions are recorded from now on. Programs must be compiled, and queues made, by the device
  // returned.
  virtual DeviceRef wrap(DeviceRef device) = 0;
  // A length of time of the host's own, on a thread of the trace named `track`.
  virtual void mark(std::string_view track, std::string_view name, std::chrono::nanoseconds begin,
                    std::chrono::nanoseconds end) = 0;
  // Waits for what was submitted (a minute at most, then timed_out), and writes the whole file anew; io with the path
  // and the system's words.
  virtual Status flush() = 0;
};

}  // namespace switchyard::hal
