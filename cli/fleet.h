// The devices of this machine, found and opened for a verb.
#pragma once
#include <map>

#include "cli/context.h"
#include "hal/layers/trace.h"
#include "probes/discover/devices.h"

namespace switchyard::cli {

class Fleet {
 public:
  explicit Fleet(const Global& global);
  const probes::Machine& machine() const { return devices_->machine(); }
  // Any spelling of a device's name, "auto" included, which says on stderr what it became and why.
  // Ends the verb with exit code 4 and a list of what there is.
  hal::DeviceRef open(const std::string& name);
  probes::Devices& devices() { return *devices_; }
  // Devices opened from now on write every submission to this trace file. Empty: no trace.
  void trace_to(const std::string& path) {
    if (!path.empty()) trace_ = hal::Trace::open(path);
  }
  // Writes the trace, if there is one. Call it when the work is done.
  void finish();

 private:
  kernels::Library kernels_;
  std::unique_ptr<probes::Devices> devices_;
  bool validate_;
  std::shared_ptr<hal::Trace> trace_;
  std::map<hal::Device*, hal::DeviceRef> layered_;  // one stack of layers per device, so that equal devices stay equal
};

}  // namespace switchyard::cli
