#include "backends/vulkan/instance.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace switchyard::backends::vulkan {

using namespace hal;

namespace {

std::atomic<std::uint64_t> errors{0};

VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                          VkDebugUtilsMessageTypeFlagsEXT,
                                          const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  bool error = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
  if (error) ++errors;
  std::fprintf(stderr, "vulkan: Validation %s: [%s] %s\n", error ? "Error" : "warning",
               data->pMessageIdName ? data->pMessageIdName : "", data->pMessage ? data->pMessage : "");
  return VK_FALSE;
}

bool wanted(const char* name) {
  const char* value = std::getenv(name);
  return value && *value && std::string(value) != "0";
}

// volk keeps the loader in globals, so it is opened once for the process and never closed.
VkResult open_loader() {
  static const VkResult result = volkInitialize();
  return result;
}

}  // namespace

std::uint64_t validation_errors() { return errors; }

bool Instance::missing_library() { return open_loader() != VK_SUCCESS; }

Result<std::shared_ptr<Instance>> Instance::create() {
  if (missing_library()) return Error{Code::unavailable, "libvulkan.so.1 could not be opened"};
  if (volkGetInstanceVersion() < VK_API_VERSION_1_1)
    return Error{Code::unavailable, "the Vulkan loader knows only Vulkan 1.0; 1.1 is needed"};
  std::shared_ptr<Instance> made(new Instance);
  VkApplicationInfo app{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  app.pApplicationName = app.pEngineName = "switchyard";
  app.apiVersion = VK_API_VERSION_1_1;
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &app;

  const bool validate = wanted("SWITCHYARD_VULKAN_VALIDATION");
  const char* layer = "VK_LAYER_KHRONOS_validation";
  const char* extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
  const VkValidationFeatureEnableEXT enables[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
  VkValidationFeaturesEXT features{VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT};
  VkDebugUtilsMessengerCreateInfoEXT messenger{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
  if (validate) {
    messenger.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    messenger.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
                            VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                            VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT;
    messenger.pfnUserCallback = on_message;
    features.enabledValidationFeatureCount = 1;
    features.pEnabledValidationFeatures = enables;
    features.pNext = &messenger;
    info.pNext = &features;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &layer;
    info.enabledExtensionCount = 1;
    info.ppEnabledExtensionNames = &extension;
  }
  VK_TRY(vkCreateInstance(&info, nullptr, &made->handle_));
#define X(name)                                                                           \
  made->name = reinterpret_cast<PFN_##name>(vkGetInstanceProcAddr(made->handle_, #name)); \
  if (!made->name) return Error{Code::unavailable, std::string("the Vulkan loader has no ") + #name};
  SWITCHYARD_VK_INSTANCE_FUNCTIONS(X)
#undef X
  // volk's table of device functions goes through this global; the loader's function serves every instance.
  static std::once_flag once;
  std::call_once(once, [&] {
    ::vkGetDeviceProcAddr =
        reinterpret_cast<PFN_vkGetDeviceProcAddr>(vkGetInstanceProcAddr(made->handle_, "vkGetDeviceProcAddr"));
  });
  if (!::vkGetDeviceProcAddr) return Error{Code::unavailable, "the Vulkan loader has no vkGetDeviceProcAddr"};
  if (validate) {
    auto create = reinterpret_cast<PFN_vkCreateDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(made->handle_, "vkCreateDebugUtilsMessengerEXT"));
    if (!create)
      return Error{Code::unavailable, "validation asked for, but there is no vkCreateDebugUtilsMessengerEXT"};
    VK_TRY(create(made->handle_, &messenger, nullptr, &made->messenger_));
  }
  return made;
}

Instance::~Instance() {
  if (!handle_) return;
  if (messenger_) {
    auto destroy = reinterpret_cast<PFN_vkDestroyDebugUtilsMessengerEXT>(
        vkGetInstanceProcAddr(handle_, "vkDestroyDebugUtilsMessengerEXT"));
    if (destroy) destroy(handle_, messenger_, nullptr);
  }
  if (vkDestroyInstance) vkDestroyInstance(handle_, nullptr);
}

Result<std::vector<VkPhysicalDevice>> Instance::devices(std::string& left_out) const {
  std::uint32_t count = 0;
  VK_TRY(vkEnumeratePhysicalDevices(handle_, &count, nullptr));
  std::vector<VkPhysicalDevice> all(count), found;
  if (count) VK_TRY(vkEnumeratePhysicalDevices(handle_, &count, all.data()));
  for (VkPhysicalDevice d : all) {
    VkPhysicalDeviceProperties2 p{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    vkGetPhysicalDeviceProperties2(d, &p);
    std::string why;
    if (p.properties.apiVersion < VK_API_VERSION_1_1) why = "is a Vulkan 1.0 device; 1.1 is needed";
    if (compute_family(*this, d, nullptr, nullptr) < 0) why = "has no compute queue";
    if (why.empty()) {
      found.push_back(d);
    } else {
      left_out += (left_out.empty() ? "" : "; ") + std::string(p.properties.deviceName) + " " + why;
    }
  }
  return found;
}

int compute_family(const Instance& instance, VkPhysicalDevice device, std::uint32_t* queues,
                   std::uint32_t* timestamp_bits) {
  std::uint32_t count = 0;
  instance.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  instance.vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  for (std::uint32_t f = 0; f < count; ++f) {
    if (!(families[f].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[f].queueCount == 0) continue;
    if (queues) *queues = families[f].queueCount;
    if (timestamp_bits) *timestamp_bits = families[f].timestampValidBits;
    return static_cast<int>(f);
  }
  return -1;
}

}  // namespace switchyard::backends::vulkan
