// Devices for a test, opened by id; sims from the description files in tests/data/sim.
#pragma once
#include <gtest/gtest.h>

#include "backends/all.h"
#include "kernels/library.h"

namespace switchyard::test {

inline hal::DeviceRef open_device(const std::string& id, const std::vector<std::string>& sims = {}) {
  static const kernels::Library library;
  std::string found;
  for (auto& backend : backends::all({sims}))
    for (const hal::Info& info : backend->discover().devices) {
      found += " " + info.id;
      if (info.id != id) continue;
      auto device = backend->open(id, {&library, nullptr});
      if (!device) throw std::runtime_error(hal::describe(device.error()));
      return *device;
    }
  throw std::runtime_error("no device " + id + "; found:" + found);
}

}  // namespace switchyard::test
