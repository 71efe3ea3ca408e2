// A Device around a Device that reports a caller's bugs. On in tests, off in a release: what it finds is undefined
// without it.
#pragma once
#include <functional>

#include "hal/device.h"

namespace switchyard::hal {

// Checked, each named with the numbers that are wrong:
//   compile   a segment the device does not claim whole; constants without data
//   Run       a program of another device, too few slices or dims, dims out of their range, slices outside their buffers,
//             misaligned, too small or on another device, written slices that overlap others, missing or small scratch
//   Copy      ranges outside their buffers, sizes that differ, neither side on this device
//   Fill      offset or size no multiple of 4, a range outside its buffer, a buffer of another device
//   waits     a value that no submission and no signal has promised; signals that do not grow
//   Queue     two threads in submit at once
// Timelines of devices that are not validated are passed on unchecked.
//
// A submission with a bug is not submitted: submit returns invalid_argument with the first one found. `report` (may be
// null) gets every error text too, from the calling thread, one call at a time. The layer's devices share nothing with
// each other.
DeviceRef validate(DeviceRef device, std::function<void(const Error&)> report);

}  // namespace switchyard::hal
