// Devices around devices, which fail when they are told to.
#pragma once
#include <functional>
#include <string_view>

#include "hal/backend.h"

namespace switchyard::test {

enum class Fault : std::uint8_t {
  none,
  lost,       // the submission is refused, and all later calls of the device
  lost_late,  // it is accepted and fails some time later, and so on
  hang,       // it never ends, until the device is let go of: see release
  no_memory,  // of an allocation: refused, the device stays well; a submission fails as if it were `lost`
};
const char* to_string(Fault fault);

enum class Moment : std::uint8_t { submission, allocation };
// Asked at each moment of each device, from any thread.
using NextFault = std::function<Fault(const std::string& device, Moment moment)>;

// The same backends; a device of theirs that was lost comes back when it is opened again.
std::vector<hal::BackendRef> faulty(const std::vector<hal::BackendRef>& backends, NextFault next);

// What hangs now fails, as a driver's own reset would make it.
void release_hung();

}  // namespace switchyard::test
