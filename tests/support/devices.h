// Devices for a test, opened by id; sims from the description files in tests/data/sim.
#pragma once
#include <gtest/gtest.h>

#include "backends/all.h"
#include "kernels/library.h"
#include "tests/support/remote.h"

namespace switchyard::test {

inline hal::DeviceRef open_device(const std::string& id, const std::vector<std::string>& sims = {}) {
  static const kernels::Library library;
  std::string found;
  for (auto& backend : backends::all({sims, remote_backends(), {}}))
    for (const hal::Info& info : backend->discover().devices) {
      found += " " + info.id;
      if (info.id != id) continue;
      auto device = backend->open(id, {&library, nullptr});
      if (!device) throw std::runtime_error(hal::describe(device.error()));
      return *device;
    }
  throw std::runtime_error("no device " + id + "; found:" + found);
}

// Every device found, in the order of the backends; sims are not among them.
inline std::vector<std::string> found_devices() {
  std::vector<std::string> ids;
  for (auto& backend : backends::all({{}, remote_backends(), {}}))
    for (const hal::Info& info : backend->discover().devices) ids.push_back(info.id);
  return ids;
}

// "vulkan:0" as part of a test's name.
inline std::string as_name(std::string text) {
  for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return text;
}

}  // namespace switchyard::test
