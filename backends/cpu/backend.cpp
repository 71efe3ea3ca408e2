#include <algorithm>
#include <cstring>

#include "backends/cpu/device.h"
#include "backends/cpu/features.h"

namespace switchyard::backends {
namespace cpu {

using namespace hal;

Result<Found> find() {
  HAL_TRY(Features features, read_features());
  Found f;
  HAL_TRY(f.topology, read_topology());
  HAL_TRY(f.threads, thread_count(f.topology));
  const Heap memory = read_memory(0);
  Info& i = f.info;
  i.id = "cpu:0";
  i.name = features.name;
  i.vendor = features.vendor;
  // Whatever changes the speed is part of it: a profile measured with other threads or instructions is stale.
  i.driver = "built-in " + features.isa + ", " + std::to_string(f.threads) + (f.threads == 1 ? " thread" : " threads");
  if (const char* cores = std::getenv("SWITCHYARD_CPU_CORES"); cores && *cores) i.driver += std::string(" on ") + cores;
  if (std::find(features.words.begin(), features.words.end(), "amx_emulation") != features.words.end())
    i.driver += ", AMX emulated";
  i.api = "cpu";
  // The same name on every door to this processor: FNV-1a twice over vendor and name.
  std::uint64_t h[2] = {1469598103934665603ull, 1099511628211ull * 31};
  for (unsigned char c : features.vendor + "|" + features.name)
    for (std::uint64_t& x : h) x = (x ^ c) * 1099511628211ull;
  std::memcpy(i.chip.data(), h, 16);
  i.kind = Kind::cpu;
  i.limits.max_buffer = i.limits.max_binding = memory.total;
  i.limits.group_memory = f.topology.l2;
  i.limits.queues = 16;
  i.limits.compute_units = f.threads;
  i.formats = {Format::call};
  i.features = features.words;
  i.features.emplace_back("host_memory");
  return f;
}

class CpuBackend final : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }

  Discovery discover() override {
    auto found = find();
    if (found) return {{found->info}, {}};
    return {{}, {{"cpu", "bad_setting", found.error().message, "correct or unset the variable"}}};
  }

  Result<DeviceRef> open(std::string_view id, const Host& host) override {
    HAL_TRY(Found found, find());
    if (id != found.info.id)
      return Error{Code::not_found, "device " + std::string(id) + "; the cpu backend has " + found.info.id};
    if (host.log)
      host.log(2, "cpu:0: " + found.info.name + ", " + found.info.driver + ", " + std::to_string(found.topology.cores) +
                      " cores by " + found.topology.source);
    return DeviceRef(std::make_shared<CpuDevice>(std::move(found), host));
  }
};

}  // namespace cpu

hal::BackendRef make_cpu();
hal::BackendRef make_cpu() { return std::make_shared<cpu::CpuBackend>(); }

}  // namespace switchyard::backends
