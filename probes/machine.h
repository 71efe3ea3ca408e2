// Machine: what is there. Plain data, made by discover(), kept as JSON ("switchyard.machine/1", sorted keys), so that a
// plan can be made on another PC.
//
// A chip is a piece of silicon; its doors are the APIs it is reached through ("vulkan:0", "opencl:1"). Doors of one
// chip share one memory pool, and chips whose memory is the host's RAM share the pool "host": nothing is counted twice.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hal/backend.h"

namespace switchyard::probes {

// total, budget: bytes of device memory as the driver reported them when the machine was looked at; budget is what may
// still be taken. 0: the driver did not say.
struct Door {
  hal::Info info;
  hal::Bytes total = 0, budget = 0;
};

struct Chip {
  std::string id;  // UUID, else PCI address, else the first door's id
  std::string name;
  hal::Kind kind = hal::Kind::other;  // for printing
  std::string pool;                   // name of a Pool
  bool guess = false;                 // some doors were put together by their name alone
  std::vector<Door> doors;
};

struct Pool {
  std::string name;  // "host", or the first door's id of the chip it belongs to
  hal::Bytes total = 0, budget = 0;
};

struct HostFacts {
  std::string cpu, system;
  int cores = 0, threads = 0, numa_nodes = 0;         // threads: those this process may use
  hal::Bytes memory_total = 0, memory_available = 0;  // within the limits set on this process's group, if any
};

struct Machine {
  HostFacts host;
  std::vector<Chip> chips;
  std::vector<Pool> pools;
  std::vector<hal::Absence> absent;

  const Chip* chip_of(std::string_view door) const;  // null: no such door
  const Door* door(std::string_view id) const;
  const Pool* pool_of(std::string_view door) const;
  std::vector<const Door*> doors() const;  // all, in the order of the chips
};

// What a door's memory is made of: the host's RAM, so it shares the pool "host".
inline constexpr std::string_view host_memory_feature = "host_memory";
inline constexpr std::string_view host_pool = "host";

// Of what stays the same from day to day (processor, memory size, doors, drivers): binds profiles and plans to a
// machine.
std::string key(const Machine& machine);

std::string to_json(const Machine& machine);
// io: no JSON, another schema, or a field of the wrong type; the text names it.
hal::Result<Machine> machine_from_json(std::string_view text);

}  // namespace switchyard::probes
