// The loader and one VkInstance: its functions, its devices, the validation layer.
//   SWITCHYARD_VULKAN_VALIDATION=1     turns on VK_LAYER_KHRONOS_validation with synchronisation checks
#pragma once
#include <memory>

#include "backends/vulkan/convert.h"
#include "hal/backend.h"

namespace switchyard::backends::vulkan {

// Errors the validation layer has reported in this process so far (0 without the layer). Any thread.
std::uint64_t validation_errors();

// Formatted by hand: clang-format 14 changes its mind about such a list every time.
// clang-format off
#define SWITCHYARD_VK_INSTANCE_FUNCTIONS(X)                                                       \
  X(vkDestroyInstance)                                                                            \
  X(vkEnumeratePhysicalDevices) X(vkGetPhysicalDeviceProperties2) X(vkGetPhysicalDeviceFeatures2) \
      X(vkGetPhysicalDeviceMemoryProperties2) X(vkGetPhysicalDeviceQueueFamilyProperties)         \
          X(vkEnumerateDeviceExtensionProperties) X(vkCreateDevice)
// clang-format on

class Instance {
 public:
  // unavailable: no libvulkan (missing_library() is true), or no instance of it.
  static hal::Result<std::shared_ptr<Instance>> create();
  static bool missing_library();
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // Vulkan 1.1 devices with a compute queue, in the loader's order; `left_out` says which are none.
  hal::Result<std::vector<VkPhysicalDevice>> devices(std::string& left_out) const;

#define X(name) PFN_##name name = nullptr;
  SWITCHYARD_VK_INSTANCE_FUNCTIONS(X)
#undef X

 private:
  Instance() = default;
  VkInstance handle_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
};

// -1: none. A family that computes, with as many queues as it has; graphics-less families are not preferred: the family
// that does everything is the one drivers test most.
int compute_family(const Instance& instance, VkPhysicalDevice device, std::uint32_t* queues,
                   std::uint32_t* timestamp_bits);

}  // namespace switchyard::backends::vulkan
