// Looks at the machine without trusting a driver: each API is first touched in a child process with a time limit, all
// of them side by side. A driver that crashes or hangs becomes an absence with a reason, and this process never loads
// it.
#pragma once
#include <chrono>
#include <optional>
#include <span>

#include "probes/machine.h"

namespace switchyard::probes {

struct DiscoverOptions {
  // For each API. Unset: SWITCHYARD_DISCOVER_SECONDS, else 5 seconds.
  std::optional<std::chrono::milliseconds> limit = std::nullopt;
  // Calls the backends here instead of in children: for sanitizers, and systems without fork. Nothing then guards
  // against a driver that crashes or hangs.
  bool in_process = false;
  std::vector<hal::Absence> also_absent = {};  // what the build leaves out
};

// Call it before the first device is opened: a child cannot use a driver that its parent has already started.
// Never fails for want of a device: what is not there is in Machine::absent.
hal::Result<Machine> discover(std::span<const hal::BackendRef> backends, const DiscoverOptions& options = {});

// One API's answer, before doors become chips.
struct Found {
  std::vector<Door> doors;
  std::vector<hal::Absence> absent;
};
// What a child does, on the calling thread: discover, then open each device without kernels to read its memory.
Found look(hal::Backend& backend);
// The same in children, in the order of `backends`.
std::vector<Found> look_in_children(std::span<const hal::BackendRef> backends, std::chrono::milliseconds limit);

// Puts doors together that lead to one chip (UUID, LUID, PCI address; without any of them the n-th of a name per API,
// marked as a guess) and sets up the pools. Keeps the order of the doors.
void fold(Machine& machine, std::vector<Door> doors);

HostFacts host_facts();

}  // namespace switchyard::probes
