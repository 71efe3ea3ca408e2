#include "cli/fleet.h"

#include <algorithm>

#include "backends/all.h"

namespace switchyard::cli {

Fleet::Fleet(const Global& global) : global_(global), host_{&kernels_, nullptr} {
  backends_ = backends::all({global_.sims});
  absent_ = backends::left_out();
  for (auto& b : backends_) {
    hal::Discovery found = b->discover();
    devices_.insert(devices_.end(), found.devices.begin(), found.devices.end());
    absent_.insert(absent_.end(), found.absent.begin(), found.absent.end());
  }
}

hal::DeviceRef Fleet::open(const std::string& name) {
  std::string wanted = name;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (wanted.find(':') == std::string::npos) wanted += ":0";
  if (auto known = open_.find(wanted); known != open_.end()) return known->second;
  std::string there;
  for (const hal::Info& info : devices_) there += " " + info.id;
  for (const hal::Info& info : devices_) {
    if (info.id != wanted) continue;
    for (auto& b : backends_)
      if (b->name() == info.api) return open_[wanted] = check(b->open(info.id, host_));
  }
  fail(no_device, "no device " + name + "; found:" + there + " (see `switchyard devices` for what is absent and why)");
}

std::vector<hal::DeviceRef> Fleet::open_all() {
  std::vector<hal::DeviceRef> all;
  for (const hal::Info& info : devices_) all.push_back(open(info.id));
  return all;
}

}  // namespace switchyard::cli
