#include <chrono>
#include <cstdlib>
#include <thread>

#include "backends/sim/device.h"
#include "backends/sim/sim.h"

namespace switchyard::backends {
namespace sim {
namespace {

class SimBackend final : public Backend {
 public:
  explicit SimBackend(std::vector<std::string> files) : files_(std::move(files)) {}
  std::string_view name() const override { return "sim"; }
  Discovery discover() override;
  Result<DeviceRef> open(std::string_view id, const Host& host) override;

 private:
  std::vector<std::string> files_;
};

Discovery SimBackend::discover() {
  Discovery found;
  for (const std::string& file : files_) {
    Result<Description> d = read_description(file);
    if (!d) {
      found.absent.push_back(
          {"sim", "bad_description", d.error().message, "correct the file; backends/sim/README.md lists the fields"});
      continue;
    }
    const std::string& fault = d->faults.discovery;
    if (fault == "crash") std::abort();  // stands for a driver that takes the process with it
    while (fault == "hang") std::this_thread::sleep_for(std::chrono::hours(1));
    bool twice = false;
    for (const Info& other : found.devices) twice = twice || other.id == d->info.id;
    if (fault == "missing") {
      found.absent.push_back({"sim", "no_device", d->info.id + ": its description says that it is missing",
                              "remove faults.discovery from " + file});
    } else if (twice) {
      found.absent.push_back({"sim", "bad_description",
                              file + ": the name of " + d->info.id + " is taken by an earlier file",
                              "choose another name"});
    } else {
      found.devices.push_back(d->info);
    }
  }
  return found;
}

Result<DeviceRef> SimBackend::open(std::string_view id, const Host& host) {
  std::string known;
  for (const std::string& file : files_) {
    Result<Description> d = read_description(file);
    if (!d || d->faults.discovery == "missing") continue;
    known += " " + d->info.id;
    if (d->info.id != id) continue;
    if (!d->faults.open.empty()) return Error{Code::unavailable, d->info.id + ": " + d->faults.open};
    return DeviceRef(std::make_shared<SimDevice>(std::move(*d), host));
  }
  return Error{Code::not_found, "no device " + std::string(id) + "; there are:" + (known.empty() ? " none" : known)};
}

}  // namespace
}  // namespace sim

hal::BackendRef make_sim(const std::vector<std::string>& files) { return std::make_shared<sim::SimBackend>(files); }

}  // namespace switchyard::backends
