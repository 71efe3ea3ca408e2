#include "backends/vulkan/convert.h"

namespace switchyard::backends::vulkan {

using namespace hal;

const char* name_of(VkResult result) {
  switch (result) {
#define NAME(x) \
  case x: return #x;
    NAME(VK_SUCCESS)
    NAME(VK_NOT_READY)
    NAME(VK_TIMEOUT)
    NAME(VK_INCOMPLETE)
    NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
    NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    NAME(VK_ERROR_INITIALIZATION_FAILED)
    NAME(VK_ERROR_DEVICE_LOST)
    NAME(VK_ERROR_MEMORY_MAP_FAILED)
    NAME(VK_ERROR_LAYER_NOT_PRESENT)
    NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
    NAME(VK_ERROR_FEATURE_NOT_PRESENT)
    NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
    NAME(VK_ERROR_TOO_MANY_OBJECTS)
    NAME(VK_ERROR_FRAGMENTED_POOL)
    NAME(VK_ERROR_OUT_OF_POOL_MEMORY)
    NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE)
    NAME(VK_ERROR_FRAGMENTATION)
    NAME(VK_ERROR_UNKNOWN)
#undef NAME
    default: return "an unnamed VkResult";
  }
}

Error error_of(VkResult result, const char* call, const char* file, int line) {
  std::string text = call;
  text = text.substr(0, text.find('('));
  if (auto dot = text.find_last_of(".>"); dot != std::string::npos) text = text.substr(dot + 1);
  text += ": " + std::string(name_of(result)) + " (" + std::to_string(static_cast<int>(result)) + ")";
  Code code = Code::internal;
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_MEMORY_MAP_FAILED:
    case VK_ERROR_TOO_MANY_OBJECTS: code = Code::out_of_memory; break;
    case VK_ERROR_DEVICE_LOST: code = Code::device_lost; break;
    case VK_ERROR_INITIALIZATION_FAILED:
    case VK_ERROR_LAYER_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_INCOMPATIBLE_DRIVER: code = Code::unavailable; break;
    case VK_ERROR_FEATURE_NOT_PRESENT: code = Code::unsupported; break;
    case VK_TIMEOUT: code = Code::timed_out; break;
    default: break;
  }
  return Error{code, text, file, line};
}

Kind kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return Kind::igpu;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return Kind::dgpu;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return Kind::cpu;
    default: return Kind::other;
  }
}

std::string vendor_of(std::uint32_t id) {
  switch (id) {
    case 0x1002: return "AMD";
    case 0x1010: return "Imagination";
    case 0x106b: return "Apple";
    case 0x10de: return "NVIDIA";
    case 0x13b5: return "Arm";
    case 0x1ae0: return "Google";
    case 0x5143: return "Qualcomm";
    case 0x8086: return "Intel";
    case 0x10005: return "Mesa";
    case 0x10006: return "PoCL";
    default: {
      char text[16];
      std::snprintf(text, sizeof text, "0x%04x", id);
      return text;
    }
  }
}

std::vector<VkMemoryPropertyFlags> preferences(Memory memory) {
  constexpr VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                  cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                                  host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  switch (memory) {
    case Memory::device: return {local, 0};
    case Memory::upload: return {host};
    case Memory::readback: return {host | cached, host};
    case Memory::shared: return {host | cached | local, host | cached, host};
  }
  return {0};
}

}  // namespace switchyard::backends::vulkan
