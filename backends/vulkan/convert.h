// Vulkan's numbers in the hal's words, and the one macro every Vulkan call goes through.
#pragma once
#include <volk.h>

#include "hal/device.h"

namespace switchyard::backends::vulkan {

const char* name_of(VkResult result);  // "VK_ERROR_DEVICE_LOST"
hal::Error error_of(VkResult result, const char* call, const char* file, int line);
hal::Kind kind_of(VkPhysicalDeviceType type);
std::string vendor_of(std::uint32_t id);

// Property flags to look for, best first; the last entry is what the memory must have.
std::vector<VkMemoryPropertyFlags> preferences(hal::Memory memory);

}  // namespace switchyard::backends::vulkan

// VK_TRY(vk.vkCreateFence(...)): returns the call's own error from the enclosing function.
#define VK_TRY(...)                                                                                  \
  do {                                                                                               \
    VkResult vk_result_ = (__VA_ARGS__);                                                             \
    if (vk_result_ != VK_SUCCESS)                                                                    \
      return ::switchyard::backends::vulkan::error_of(vk_result_, #__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)
