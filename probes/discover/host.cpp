#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "probes/discover/discover.h"

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <sys/utsname.h>
#include <unistd.h>
#endif

namespace switchyard::probes {
namespace {

// "max" and what is no number: no limit.
hal::Bytes number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  hal::Bytes value = 0;
  return in >> value ? value : 0;
}

struct Limit {
  hal::Bytes limit = 0, used = 0;
};

// The tightest memory limit of this process's control groups (both versions); 0: none.
Limit group_limit() {
  Limit tightest;
  auto take = [&](const std::filesystem::path& limit_file, const std::filesystem::path& used_file) {
    hal::Bytes limit = number_in(limit_file);
    if (limit && (!tightest.limit || limit < tightest.limit)) tightest = {limit, number_in(used_file)};
  };
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("memory") == std::string::npos) continue;
    std::filesystem::path base = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    // Within a container the named group may lie outside what is mounted; its root then holds the limit.
    for (std::filesystem::path group = line.substr(second + 1);; group = group.parent_path()) {
      std::filesystem::path dir = base / group.relative_path();
      take(dir / (controllers.empty() ? "memory.max" : "memory.limit_in_bytes"),
           dir / (controllers.empty() ? "memory.current" : "memory.usage_in_bytes"));
      if (group.relative_path().empty()) break;
    }
  }
  return tightest;
}

hal::Bytes meminfo(const std::string& name) {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(name + ":", 0) != 0) continue;
    std::istringstream text(line.substr(name.size() + 1));
    hal::Bytes kib = 0;
    text >> kib;
    return kib * 1024;
  }
  return 0;
}

void read_cpuinfo(HostFacts& facts) {
  std::ifstream in("/proc/cpuinfo");
  std::set<std::pair<int, int>> cores;
  int package = 0;
  for (std::string line; std::getline(in, line);) {
    auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (name == "model name" && facts.cpu.empty()) facts.cpu = value;
    if (name == "physical id") package = std::atoi(value.c_str());
    if (name == "core id") cores.insert({package, std::atoi(value.c_str())});
  }
  facts.cores = static_cast<int>(cores.size());
}

}  // namespace

HostFacts host_facts() {
  HostFacts facts;
  read_cpuinfo(facts);
  facts.threads = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) facts.threads = CPU_COUNT(&set);
#endif
  if (facts.cores == 0) facts.cores = facts.threads;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/devices/system/node", error)) {
    std::string name = entry.path().filename().string();
    facts.numa_nodes +=
        name.rfind("node", 0) == 0 && name.size() > 4 && std::isdigit(static_cast<unsigned char>(name[4]));
  }
  facts.numa_nodes = std::max(facts.numa_nodes, 1);
  facts.memory_total = meminfo("MemTotal");
  facts.memory_available = meminfo("MemAvailable");
#if defined(__unix__) || defined(__APPLE__)
  if (facts.memory_total == 0) {
    facts.memory_total =
        static_cast<hal::Bytes>(sysconf(_SC_PHYS_PAGES)) * static_cast<hal::Bytes>(sysconf(_SC_PAGESIZE));
    facts.memory_available = facts.memory_total / 2;
  }
  utsname name{};
  if (uname(&name) == 0) {
    facts.system = std::string(name.sysname) + " " + name.release + " " + name.machine;
    if (facts.cpu.empty()) facts.cpu = name.machine;
  }
#endif
  Limit limit = group_limit();
  if (limit.limit && limit.limit < facts.memory_total) {
    facts.memory_total = limit.limit;
    facts.memory_available = std::min(facts.memory_available, limit.limit - std::min(limit.used, limit.limit));
  }
  return facts;
}

}  // namespace switchyard::probes
