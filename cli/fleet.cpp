#include "cli/fleet.h"

#include <algorithm>

#include "backends/all.h"
#include "hal/layers/validate.h"
#include "probes/discover/discover.h"

namespace switchyard::cli {

Fleet::Fleet(const Global& global) : validate_(global.validate) {
  std::vector<hal::BackendRef> backends =
      backends::all({global.sims, global.remote, {{"/proc/self/exe", "backend-host"}, {}}});
  for (const std::string& name : global.remote)
    if (std::none_of(backends.begin(), backends.end(), [&](const auto& b) { return b->name() == name; }))
      fail(usage, "--remote " + name + ": no such backend here; `switchyard devices` lists what there is");
  probes::DiscoverOptions options;
  options.also_absent = backends::left_out();
  const char* here = std::getenv("SWITCHYARD_DISCOVER_IN_PROCESS");
  options.in_process = here && *here == '1';
  probes::Machine machine = check(probes::discover(backends, options));
  devices_ = std::make_unique<probes::Devices>(std::move(machine), std::move(backends), hal::Host{&kernels_, nullptr});
}

hal::DeviceRef Fleet::open(const std::string& name) {
  auto device = devices_->open(name);
  if (!device)
    fail(device.error().code == hal::Code::not_found ? no_device : exit_code(device.error()),
         hal::describe(device.error()));
  if (!validate_ && !trace_) return *device;
  hal::DeviceRef& layered = layered_[device->get()];
  if (!layered) {
    layered = *device;
    if (validate_)
      layered = hal::validate(layered, [](const hal::Error& error) { say("check: " + hal::describe(error)); });
    if (trace_) layered = trace_->wrap(layered);
  }
  return layered;
}

void Fleet::finish() {
  if (trace_) check(trace_->flush());
}

}  // namespace switchyard::cli
