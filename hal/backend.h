// Backend: finds devices of one API and opens them. The vendor's library is opened at run time, never linked.
#pragma once
#include <memory>
#include <string_view>

#include "hal/device.h"

namespace switchyard::hal {

// What a device is given. Both outlive every device opened with them.
struct Host {
  const Kernels* kernels = nullptr;                         // null: a device that only moves bytes; it claims nothing
  void (*log)(int level, std::string_view text) = nullptr;  // 0 error, 1 warning, 2 information; may be null
};

struct Discovery {
  std::vector<Info> devices;
  std::vector<Absence> absent;  // what could have been here and why it is not
};

struct Backend {
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  // First touch of the vendor's library. Never fails: a missing or broken driver is an Absence.
  virtual Discovery discover() = 0;
  // id as found in discover(); not_found lists what there is.
  virtual Result<DeviceRef> open(std::string_view id, const Host& host) = 0;
};
using BackendRef = std::shared_ptr<Backend>;

}  // namespace switchyard::hal
