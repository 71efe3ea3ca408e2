// Opens devices of a machine by the names people use.
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "probes/machine.h"

namespace switchyard::probes {

struct Choice {
  std::string id;   // of a door
  std::string why;  // how the name led there, for people
};

// Any case: a door's id ("vulkan:1"), an API ("cpu": its first door; "CUDA0", "opencl.1"), a kind of chip ("GPU",
// "GPU.0", "npu"), a chip's UUID (dashes and "GPU-" in front allowed), its PCI address (the domain may be left out), or
// "auto". auto: the chip with the most memory of its own, else the first door that takes host code, else the first
// door. not_found lists what there is.
hal::Result<Choice> resolve(const Machine& machine, std::string_view name);

// Ids of all doors that a name may mean, in the order of the machine: those of an API ("vulkan") and of all chips of a
// kind ("gpu"), else the one that it resolves to. not_found as resolve().
hal::Result<std::vector<std::string>> doors_named(const Machine& machine, std::string_view name);

// Opens each device once and keeps it. Only doors of the machine are opened: an API that was not well when the machine
// was looked at is not touched. Any thread.
class Devices {
 public:
  Devices(Machine machine, std::vector<hal::BackendRef> backends, hal::Host host);
  const Machine& machine() const { return machine_; }
  hal::Result<hal::DeviceRef> open(std::string_view name);  // as resolve() takes it
  void forget(const std::string& id);                       // a door's, lost: the next open makes it anew

 private:
  Machine machine_;
  std::vector<hal::BackendRef> backends_;
  hal::Host host_;
  std::mutex mutex_;
  std::set<std::string> touched_;  // APIs that have been discovered in this process
  std::map<std::string, hal::DeviceRef, std::less<>> open_;
};

}  // namespace switchyard::probes
