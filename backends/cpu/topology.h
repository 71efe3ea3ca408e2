// Which cores this process may use, and how much memory there is for it, live.
#pragma once
#include <string>
#include <vector>

#include "hal/info.h"
#include "hal/result.h"

namespace switchyard::backends::cpu {

struct Topology {
  std::string source;     // "hwloc 2.9.0" or "sched_getaffinity"
  std::vector<int> cpus;  // operating system's number of one hardware thread per usable performance core
  int cores = 0;          // usable cores of any kind
  int numa_nodes = 1;
  double quota = 0;           // CPU time the control group allows, in CPUs; 0: no limit
  bool hybrid = false;        // there are cores of several speeds; `cpus` lists the fastest
  bool bound = false;         // threads stay on `cpus`: the fastest, or those asked for
  hal::Bytes l2 = 0, l3 = 0;  // of one core; of one cluster
};
// Of the CPUs this process may use, or of SWITCHYARD_CPU_CORES ("0,2-3"); invalid_argument for anything else in it.
hal::Result<Topology> read_topology();

// Threads of the pool: SWITCHYARD_CPU_THREADS (1 .. 1024), else one per performance core within the quota.
// invalid_argument for anything else in the variable.
hal::Result<int> thread_count(const Topology& topology);

// From /proc/meminfo and the control groups above this process. used: what the caller has allocated.
hal::Heap read_memory(hal::Bytes used);

}  // namespace switchyard::backends::cpu
