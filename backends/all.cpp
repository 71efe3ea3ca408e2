#include "backends/all.h"

#include <algorithm>

namespace switchyard::backends {

// One line per API folder that is built; each defines its own make function.
hal::BackendRef make_cpu();
#if SWITCHYARD_HAVE_SIM
hal::BackendRef make_sim(const std::vector<std::string>& files);
#endif
#if SWITCHYARD_HAVE_VULKAN
hal::BackendRef make_vulkan();
#endif
#if SWITCHYARD_HAVE_OPENCL
hal::BackendRef make_opencl();
#endif

std::vector<hal::BackendRef> all(const Options& options) {
  std::vector<hal::BackendRef> list;
  auto add = [&](const char* name, auto make) {
    if (std::find(options.remote.begin(), options.remote.end(), name) == options.remote.end())
      return list.push_back(make());
    remote::Options host = options.host;
    for (const std::string& file : options.sims) host.arguments.insert(host.arguments.end(), {"--sim", file});
    list.push_back(remote::make(name, std::move(host)));
  };
  add("cpu", make_cpu);
#if SWITCHYARD_HAVE_SIM
  if (!options.sims.empty()) add("sim", [&] { return make_sim(options.sims); });
#endif
#if SWITCHYARD_HAVE_VULKAN
  add("vulkan", make_vulkan);
#endif
#if SWITCHYARD_HAVE_OPENCL
  add("opencl", make_opencl);
#endif
  return list;
}

std::vector<hal::Absence> left_out() {
  std::vector<hal::Absence> list;
#if !SWITCHYARD_HAVE_SIM
  list.push_back({"sim", "not_built", "this build has no simulated devices", "build with backends/sim"});
#endif
#if !SWITCHYARD_HAVE_VULKAN
  list.push_back({"vulkan", "not_built",
                  "built without the Vulkan backend: its headers, volk or glslc were not found, or it was switched off",
                  "install libvulkan-volk-dev and glslc, and build with -DSWITCHYARD_VULKAN=ON"});
#endif
#if !SWITCHYARD_HAVE_OPENCL
  list.push_back({"opencl", "not_built",
                  "built without the OpenCL backend: its headers were not found, or it was switched off",
                  "install opencl-headers, and build with -DSWITCHYARD_OPENCL=ON"});
#endif
  return list;
}

}  // namespace switchyard::backends
