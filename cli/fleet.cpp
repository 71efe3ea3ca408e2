#include "cli/fleet.h"

#include "backends/all.h"
#include "probes/discover/discover.h"

namespace switchyard::cli {

Fleet::Fleet(const Global& global) : validate_(global.validate) {
  std::vector<hal::BackendRef> backends = backends::all({global.sims});
  probes::DiscoverOptions options;
  options.also_absent = backends::left_out();
  const char* here = std::getenv("SWITCHYARD_DISCOVER_IN_PROCESS");
  options.in_process = here && *here == '1';
  probes::Machine machine = check(probes::discover(backends, options));
  devices_ = std::make_unique<probes::Devices>(std::move(machine), std::move(backends), hal::Host{&kernels_, nullptr});
}

hal::DeviceRef Fleet::open(const std::string& name) {
  auto device = devices_->open(name);
  if (!device) fail(device.error().code == hal::Code::not_found ? no_device : exit_code(device.error()), hal::describe(device.error()));
  return *device;
}

}  // namespace switchyard::cli
