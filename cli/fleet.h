// The devices of this machine, found and opened for a verb.
#pragma once
#include <map>

#include "cli/context.h"

namespace switchyard::cli {

class Fleet {
 public:
  explicit Fleet(const Global& global);
  const std::vector<hal::Info>& devices() const { return devices_; }
  const std::vector<hal::Absence>& absent() const { return absent_; }
  const std::vector<hal::BackendRef>& backends() const { return backends_; }
  // Any spelling of a device's name. Ends the verb with exit code 4 and a list of what there is.
  hal::DeviceRef open(const std::string& name);
  std::vector<hal::DeviceRef> open_all();

 private:
  const Global& global_;
  kernels::Library kernels_;
  hal::Host host_;
  std::vector<hal::BackendRef> backends_;
  std::vector<hal::Info> devices_;
  std::vector<hal::Absence> absent_;
  std::map<std::string, hal::DeviceRef> open_;
};

}  // namespace switchyard::cli
