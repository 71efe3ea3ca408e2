#include "backends/cpu/topology.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>

#include "hal/shared/dynlib.h"
#if SWITCHYARD_HAVE_HWLOC
#include <hwloc.h>
#endif

namespace switchyard::backends::cpu {
namespace {

using hal::Bytes;

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  for (int size = 1024; size <= 65536; size *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(size));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    const bool read = sched_getaffinity(0, bytes, set) == 0;
    for (int i = 0; read && i < size; ++i)
      if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, set)) cpus.push_back(i);
    CPU_FREE(set);
    if (read) break;
  }
  if (cpus.empty())
    for (int i = 0; i < static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); ++i) cpus.push_back(i);
  return cpus;
}

// "0,2-3". Not set: none.
hal::Result<std::vector<int>> asked_cpus() {
  std::vector<int> cpus;
  const char* set = std::getenv("SWITCHYARD_CPU_CORES");
  if (!set || !*set) return cpus;
  const long there = sysconf(_SC_NPROCESSORS_CONF);
  std::istringstream list(set);
  for (std::string part; std::getline(list, part, ',');) {
    int first = 0, last = 0;
    char dash = 0;
    std::istringstream in(part);
    in >> first;
    const bool one = in && in.eof();
    if (one)
      last = first;
    else
      in >> dash >> last;
    if (!in || !in.eof() || (!one && dash != '-') || first < 0 || last < first || last >= there)
      return hal::Error{hal::Code::invalid_argument, std::string("SWITCHYARD_CPU_CORES is \"") + set +
                                                         "\", expected numbers of CPUs from 0 to " +
                                                         std::to_string(there - 1) + ", such as 0,2-3"};
    for (int i = first; i <= last; ++i) cpus.push_back(i);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  // A control group may leave out some of them: only trying tells.
  cpu_set_t before, wanted, got;
  CPU_ZERO(&wanted);
  for (int cpu : cpus)
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &wanted);
  const bool read = sched_getaffinity(0, sizeof before, &before) == 0;
  const bool usable = read && sched_setaffinity(0, sizeof wanted, &wanted) == 0 &&
                      sched_getaffinity(0, sizeof got, &got) == 0 && CPU_EQUAL(&wanted, &got);
  if (read) sched_setaffinity(0, sizeof before, &before);
  if (!usable)
    return hal::Error{hal::Code::invalid_argument, std::string("SWITCHYARD_CPU_CORES is \"") + set +
                                                       "\": this process may not use all of these CPUs"};
  return cpus;
}

#if SWITCHYARD_HAVE_HWLOC
// Fills cpus, cores, numa_nodes, hybrid and caches. False where the library is missing or fails.
bool ask_hwloc(const std::vector<int>& allowed, Topology& t) {
  static constexpr const char* names[] = {"libhwloc.so.15"};
  auto lib = hal::Dynlib::open(names);
  if (!lib) return false;
#define LOAD(name)                                                           \
  const auto name = reinterpret_cast<decltype(&::name)>(lib->symbol(#name)); \
  if (!name) return false
  LOAD(hwloc_topology_init);
  LOAD(hwloc_topology_load);
  LOAD(hwloc_topology_destroy);
  LOAD(hwloc_get_type_depth);
  LOAD(hwloc_get_nbobjs_by_depth);
  LOAD(hwloc_get_obj_by_depth);
  LOAD(hwloc_bitmap_isset);
  LOAD(hwloc_bitmap_alloc);
  LOAD(hwloc_bitmap_free);
  LOAD(hwloc_cpukinds_get_nr);
  LOAD(hwloc_cpukinds_get_info);
  LOAD(hwloc_get_api_version);
#undef LOAD
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return false;
  if (hwloc_topology_load(topology) != 0) {
    hwloc_topology_destroy(topology);
    return false;
  }
  hwloc_bitmap_t fastest = nullptr;  // kinds are sorted by efficiency; the last is the fastest
  if (int kinds = hwloc_cpukinds_get_nr(topology, 0); kinds > 1) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    int efficiency = -1;
    if (hwloc_cpukinds_get_info(topology, static_cast<unsigned>(kinds - 1), set, &efficiency, nullptr, nullptr, 0) ==
            0 &&
        efficiency > 0)
      fastest = set;
    else
      hwloc_bitmap_free(set);
  }
  const int core_depth = hwloc_get_type_depth(topology, HWLOC_OBJ_CORE);
  const unsigned cores = core_depth < 0 ? 0 : hwloc_get_nbobjs_by_depth(topology, core_depth);
  for (unsigned i = 0; i < cores; ++i) {
    hwloc_obj_t core = hwloc_get_obj_by_depth(topology, core_depth, i);
    auto pu = std::find_if(allowed.begin(), allowed.end(),
                           [&](int cpu) { return hwloc_bitmap_isset(core->cpuset, static_cast<unsigned>(cpu)); });
    if (pu == allowed.end()) continue;
    ++t.cores;
    if (fastest && !hwloc_bitmap_isset(fastest, static_cast<unsigned>(*pu))) continue;
    t.cpus.push_back(*pu);
  }
  t.hybrid = fastest && static_cast<int>(t.cpus.size()) < t.cores;
  if (int depth = hwloc_get_type_depth(topology, HWLOC_OBJ_NUMANODE); depth == HWLOC_TYPE_DEPTH_NUMANODE)
    t.numa_nodes = std::max(1, static_cast<int>(hwloc_get_nbobjs_by_depth(topology, depth)));
  auto cache = [&](hwloc_obj_type_t type) -> Bytes {
    int depth = hwloc_get_type_depth(topology, type);
    hwloc_obj_t obj = depth < 0 ? nullptr : hwloc_get_obj_by_depth(topology, depth, 0);
    return obj && obj->attr ? obj->attr->cache.size : 0;
  };
  t.l2 = cache(HWLOC_OBJ_L2CACHE);
  t.l3 = cache(HWLOC_OBJ_L3CACHE);
  if (fastest) hwloc_bitmap_free(fastest);
  hwloc_topology_destroy(topology);
  const unsigned version = hwloc_get_api_version();
  t.source = "hwloc " + std::to_string(version >> 16) + "." + std::to_string((version >> 8) & 0xff);
  return !t.cpus.empty();
}
#else
bool ask_hwloc(const std::vector<int>&, Topology&) { return false; }
#endif

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<Bytes> number(const std::string& path) {
  auto line = first_line(path);
  if (!line || line->empty() || line->find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return std::strtoull(line->c_str(), nullptr, 10);
}

// Folders of a controller from this process's group up to the root, nearest first. Version 2 has one hierarchy ("").
std::vector<std::string> groups(const std::string& controller, const std::string& root) {
  std::ifstream file("/proc/self/cgroup");
  std::vector<std::string> folders;
  for (std::string line; std::getline(file, line);) {
    const auto a = line.find(':'), b = line.find(':', a + 1);
    if (b == std::string::npos) continue;
    const std::string name = "," + line.substr(a + 1, b - a - 1) + ",";
    if (controller.empty() ? name != ",," : name.find("," + controller + ",") == std::string::npos) continue;
    for (std::string path = line.substr(b + 1); path.size() > 1; path.resize(path.rfind('/')))
      folders.push_back(root + path);
  }
  folders.push_back(root);
  return folders;
}

double cpu_quota() {
  double least = 0;
  auto limit = [&](double cpus) { least = least > 0 ? std::min(least, cpus) : cpus; };
  for (const std::string& folder : groups("", "/sys/fs/cgroup"))
    if (auto line = first_line(folder + "/cpu.max")) {
      double quota = 0, period = 0;
      if (std::istringstream(*line) >> quota >> period && period > 0)
        limit(quota / period);  // "max 100000" fails to parse
    }
  for (const std::string& folder : groups("cpu", "/sys/fs/cgroup/cpu")) {
    auto quota = number(folder + "/cpu.cfs_quota_us"), period = number(folder + "/cpu.cfs_period_us");
    if (quota && period && *period > 0) limit(static_cast<double>(*quota) / static_cast<double>(*period));
  }
  return least;
}

Bytes field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  Bytes value = 0;
  for (std::string line; std::getline(file, line);)
    if (std::istringstream in(line); in >> word >> value && word == name) return value;
  return 0;
}

}  // namespace

hal::Result<Topology> read_topology() {
  Topology t;
  HAL_TRY(const std::vector<int> asked, asked_cpus());
  const std::vector<int> allowed = asked.empty() ? allowed_cpus() : asked;
  if (!ask_hwloc(allowed, t)) {
    t = Topology{};
    t.source = "sched_getaffinity";
    t.cpus = allowed;
    t.cores = static_cast<int>(allowed.size());
  }
  t.bound = t.hybrid || !asked.empty();
  t.quota = cpu_quota();
  return t;
}

hal::Result<int> thread_count(const Topology& topology) {
  if (const char* set = std::getenv("SWITCHYARD_CPU_THREADS"); set && *set) {
    char* end = nullptr;
    const long n = std::strtol(set, &end, 10);
    if (*end != '\0' || n < 1 || n > 1024)
      return hal::Error{hal::Code::invalid_argument,
                        std::string("SWITCHYARD_CPU_THREADS is \"") + set + "\", expected a number from 1 to 1024"};
    return static_cast<int>(n);
  }
  int n = std::max(1, static_cast<int>(topology.cpus.size()));
  if (topology.quota > 0) n = std::min(n, std::max(1, static_cast<int>(std::ceil(topology.quota))));
  return n;
}

hal::Heap read_memory(Bytes used) {
  hal::Heap heap;
  heap.device_local = true;
  heap.host_visible = true;
  heap.used = used;
  heap.total = field("/proc/meminfo", "MemTotal:") * 1024;
  heap.budget = field("/proc/meminfo", "MemAvailable:") * 1024;
  auto limit = [&](Bytes most, Bytes taken, Bytes reclaimable) {
    heap.total = std::min(heap.total, most);
    taken -= std::min(taken, reclaimable);
    heap.budget = std::min(heap.budget, most - std::min(most, taken));
  };
  for (const std::string& folder : groups("", "/sys/fs/cgroup"))
    if (auto most = number(folder + "/memory.max"))
      limit(*most, number(folder + "/memory.current").value_or(0), field(folder + "/memory.stat", "inactive_file"));
  for (const std::string& folder : groups("memory", "/sys/fs/cgroup/memory"))
    if (auto most = number(folder + "/memory.limit_in_bytes"); most && *most < (Bytes{1} << 60))  // near 2^63: no limit
      limit(*most, number(folder + "/memory.usage_in_bytes").value_or(0),
            field(folder + "/memory.stat", "total_inactive_file"));
  return heap;
}

}  // namespace switchyard::backends::cpu
