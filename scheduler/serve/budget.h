// What other applications leave: readers for Ledger::watch over open devices.
#pragma once
#include "hal/device.h"
#include "scheduler/serve/ledger.h"

namespace switchyard::scheduler {

// What `device` says is available, and what it and the `others` of its pool have taken. Keeps none of them open: once
// `device` is closed, an error (unavailable). stalls: also how long tasks waited for memory.
BudgetReader read_budget(const hal::DeviceRef& device, const std::vector<hal::DeviceRef>& others = {},
                         bool stalls = false);

// Share of the last ten seconds in which some task of this system waited for memory, 0 to 1; 0 where the system does
// not say. From a file in the form of /proc/pressure/memory (Linux, pressure stall information).
double memory_stalls(const std::string& file = "/proc/pressure/memory");

// Watches every pool that one of the devices is in, by the device there with most memory, and every device that has a
// limit of its own. Devices the ledger's machine has not are left out.
hal::Status watch(Ledger& ledger, const probes::Machine& machine, const std::vector<hal::DeviceRef>& devices);

}  // namespace switchyard::scheduler
