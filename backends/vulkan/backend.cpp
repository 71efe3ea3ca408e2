#include "backends/vulkan/backend.h"

#include <cstdlib>

#include "backends/vulkan/device.h"

namespace switchyard::backends {
namespace vulkan {
namespace {

using namespace hal;

// What the user's environment says about drivers, for errors.
std::string driver_variables() {
  std::string text;
  for (const char* name : {"VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"})
    if (const char* value = std::getenv(name)) text += std::string(text.empty() ? "" : ", ") + name + "=" + value;
  return text;
}

Absence no_device(const std::string& detail) {
  std::string set = driver_variables();
  return {"vulkan", "no_device", detail + (set.empty() ? "" : " (" + set + ")"),
          set.empty() ? "install a Vulkan driver for the GPU (Debian: mesa-vulkan-drivers; NVIDIA: the vendor's "
                        "driver), or look with vulkaninfo"
                      : "only the drivers named by " + set +
                            " are looked at: unset it, or check that the file is there and its library loads"};
}

class VulkanBackend final : public Backend {
 public:
  std::string_view name() const override { return "vulkan"; }

  Discovery discover() override {
    Discovery d;
    std::lock_guard lock(mutex_);
    if (Instance::missing_library()) {
      d.absent.push_back({"vulkan", "library_missing", "libvulkan.so.1 is not found by the dynamic loader",
                          "install the Vulkan loader (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader)"});
      return d;
    }
    std::string left_out;
    auto found = find(left_out);
    if (!found) {
      d.absent.push_back(no_device(found.error().message));
      return d;
    }
    for (const Found& f : *found) d.devices.push_back(f.info);
    if (!left_out.empty() || found->empty())
      d.absent.push_back(no_device(left_out.empty() ? "the Vulkan loader finds no device" : left_out));
    return d;
  }

  Result<DeviceRef> open(std::string_view id, const Host& host) override {
    std::lock_guard lock(mutex_);
    std::string left_out;
    HAL_TRY(std::vector<Found> found, find(left_out));
    std::string known;
    for (const Found& f : found) {
      if (f.info.id == id) return VulkanDevice::open(instance_, f, host);
      known += (known.empty() ? "" : ", ") + f.info.id + " (" + f.info.name + ")";
    }
    return Error{Code::not_found, "no device " + std::string(id) + "; there is " + (known.empty() ? "none" : known)};
  }

 private:
  Result<std::vector<Found>> find(std::string& left_out) {
    if (!instance_) {
      HAL_TRY(instance_, Instance::create());
    }
    HAL_TRY(auto physical, instance_->devices(left_out));
    std::vector<Found> found;
    for (std::size_t i = 0; i < physical.size(); ++i) found.push_back(describe(*instance_, physical[i], i));
    return found;
  }

  std::mutex mutex_;
  std::shared_ptr<Instance> instance_;
};

}  // namespace
}  // namespace vulkan

hal::BackendRef make_vulkan() { return std::make_shared<vulkan::VulkanBackend>(); }

std::uint64_t vulkan_validation_errors() { return vulkan::validation_errors(); }

}  // namespace switchyard::backends
