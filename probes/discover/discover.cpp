#include "probes/discover/discover.h"

#include <algorithm>
#include <cstdlib>

namespace switchyard::probes {

Found look(hal::Backend& backend) {
  hal::Discovery discovery = backend.discover();
  Found found;
  found.absent = std::move(discovery.absent);
  for (hal::Info& info : discovery.devices) {
    Door door{std::move(info), 0, 0};
    auto device = backend.open(door.info.id, {});
    auto heaps = device ? (*device)->heaps() : hal::Result<std::vector<hal::Heap>>(device.error());
    if (!heaps) {
      found.absent.push_back(
          {door.info.api, "no_device",
           door.info.id + " (" + door.info.name + ") was found but does not open: " + hal::describe(heaps.error()),
           "see whether another program of this API runs on it"});
      continue;
    }
    for (bool local : {true, false}) {
      for (const hal::Heap& heap : *heaps) {
        if (heap.device_local != local) continue;
        door.total += heap.total;
        door.budget += heap.budget;
      }
      if (door.total) break;  // memory that is not the device's own counts only where it has none
    }
    found.doors.push_back(std::move(door));
  }
  return found;
}

hal::Result<Machine> discover(std::span<const hal::BackendRef> backends, const DiscoverOptions& options) {
  std::chrono::milliseconds limit = options.limit.value_or(std::chrono::seconds(5));
  const char* text = std::getenv("SWITCHYARD_DISCOVER_SECONDS");
  if (!options.limit && text) {
    double seconds = std::atof(text);
    if (seconds < 0.1 || seconds > 600)
      return hal::Error{hal::Code::invalid_argument,
                        "SWITCHYARD_DISCOVER_SECONDS is '" + std::string(text) + "', expected 0.1 to 600"};
    limit = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  }
  std::vector<Found> all;
#if defined(__unix__) || defined(__APPLE__)
  if (!options.in_process) all = look_in_children(backends, limit);
#endif
  if (all.size() != backends.size())
    for (const hal::BackendRef& backend : backends) all.push_back(look(*backend));
  Machine machine;
  machine.host = host_facts();
  machine.absent = options.also_absent;
  std::vector<Door> doors;
  for (Found& found : all) {
    std::move(found.doors.begin(), found.doors.end(), std::back_inserter(doors));
    std::move(found.absent.begin(), found.absent.end(), std::back_inserter(machine.absent));
  }
  fold(machine, std::move(doors));
  return machine;
}

}  // namespace switchyard::probes
