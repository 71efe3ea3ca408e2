// What a physical device says about itself, as an Info.
#include <algorithm>
#include <fstream>
#include <thread>

#include "backends/vulkan/device.h"

namespace switchyard::backends::vulkan {

using namespace hal;

namespace {

// Puts a struct at the head of a pNext chain.
template <class Head, class T>
void chain(Head& head, T& link) {
  link.pNext = head.pNext;
  head.pNext = &link;
}

int clamp_int(std::uint64_t v) { return static_cast<int>(std::min<std::uint64_t>(v, 1u << 30)); }

// Extensions this backend can use, if a device has them.
constexpr const char* useful[] = {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME,
                                  VK_EXT_PCI_BUS_INFO_EXTENSION_NAME,
                                  VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME,
                                  VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME,
                                  VK_KHR_8BIT_STORAGE_EXTENSION_NAME,
                                  VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME,
                                  VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME,
                                  VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME,
                                  VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME};

void name_driver(Info& info, const VkPhysicalDeviceProperties& p, const VkPhysicalDeviceDriverPropertiesKHR* d) {
  if (d && d->driverName[0]) {
    info.driver = d->driverName;
    if (d->driverInfo[0]) info.driver += std::string(" ") + d->driverInfo;
    return;
  }
  info.driver = "version " + std::to_string(VK_API_VERSION_MAJOR(p.driverVersion)) + "." +
                std::to_string(VK_API_VERSION_MINOR(p.driverVersion)) + "." +
                std::to_string(VK_API_VERSION_PATCH(p.driverVersion));
}

int numa_node(const std::string& pci) {
  std::ifstream file("/sys/bus/pci/devices/" + pci + "/numa_node");
  int node = -1;
  return file >> node ? node : -1;
}

}  // namespace

bool Found::has_extension(const char* name) const {
  return std::find(extensions.begin(), extensions.end(), name) != extensions.end();
}

Found describe(const Instance& instance, VkPhysicalDevice physical, std::size_t index) {
  Found f;
  f.physical = physical;
  f.family = static_cast<std::uint32_t>(compute_family(instance, physical, &f.queues, &f.timestamp_bits));

  std::uint32_t count = 0;
  instance.vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> all(count);
  if (count) instance.vkEnumerateDeviceExtensionProperties(physical, nullptr, &count, all.data());
  for (const char* name : useful)
    if (std::any_of(all.begin(), all.end(), [&](const auto& e) { return std::string_view(e.extensionName) == name; }))
      f.extensions.push_back(name);

  VkPhysicalDeviceProperties2 p{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  VkPhysicalDeviceIDProperties id{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
  VkPhysicalDeviceMaintenance3Properties most{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
  VkPhysicalDeviceSubgroupProperties subgroup{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceDriverPropertiesKHR driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR};
  VkPhysicalDevicePCIBusInfoPropertiesEXT pci{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT};
  VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
  VkPhysicalDeviceShaderSMBuiltinsPropertiesNV sm{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
  VkPhysicalDeviceShaderCorePropertiesAMD cores{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD};
  chain(p, id);
  chain(p, most);
  chain(p, subgroup);
  const bool has_driver = f.has_extension(VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME),
             has_pci = f.has_extension(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME),
             has_sizes = f.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  if (has_driver) chain(p, driver);
  if (has_pci) chain(p, pci);
  if (has_sizes) chain(p, sizes);
  if (f.has_extension(VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME)) chain(p, sm);
  if (f.has_extension(VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME)) chain(p, cores);
  instance.vkGetPhysicalDeviceProperties2(physical, &p);

  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDevice16BitStorageFeatures storage16{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
  VkPhysicalDevice8BitStorageFeaturesKHR storage8{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES_KHR};
  VkPhysicalDeviceShaderFloat16Int8FeaturesKHR small{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR};
  VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR};
  chain(features, storage16);
  if (f.has_extension(VK_KHR_8BIT_STORAGE_EXTENSION_NAME)) chain(features, storage8);
  if (f.has_extension(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)) chain(features, small);
  if (f.has_extension(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) chain(features, dot);
  instance.vkGetPhysicalDeviceFeatures2(physical, &features);

  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  instance.vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
  Bytes heap = 0;
  for (std::uint32_t h = 0; h < memory.memoryProperties.memoryHeapCount; ++h)
    if (memory.memoryProperties.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
      heap = std::max(heap, memory.memoryProperties.memoryHeaps[h].size);

  const VkPhysicalDeviceLimits& limits = p.properties.limits;
  Info& info = f.info;
  info.id = "vulkan:" + std::to_string(index);
  info.name = p.properties.deviceName;
  info.vendor = vendor_of(p.properties.vendorID);
  name_driver(info, p.properties, has_driver ? &driver : nullptr);
  info.api = "vulkan";
  std::copy_n(id.deviceUUID, 16, info.chip.begin());
  if (id.deviceLUIDValid) std::copy_n(id.deviceLUID, 8, info.luid.begin());
  info.kind = kind_of(p.properties.deviceType);
  if (has_pci && info.kind != Kind::cpu) {
    char text[32];
    std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", pci.pciDomain, pci.pciBus, pci.pciDevice, pci.pciFunction);
    info.pci = text;
    info.numa = numa_node(info.pci);
  }
  info.formats = {Format::spirv_vulkan};

  Limits& l = info.limits;
  l.max_buffer = most.maxMemoryAllocationSize ? std::min<Bytes>(most.maxMemoryAllocationSize, heap) : heap;
  l.max_binding = limits.maxStorageBufferRange;
  l.align = std::max<Bytes>(limits.minStorageBufferOffsetAlignment, 16);
  l.group_memory = limits.maxComputeSharedMemorySize;
  l.group_threads = clamp_int(limits.maxComputeWorkGroupInvocations);
  l.subgroup = l.subgroup_min = l.subgroup_max = clamp_int(std::max(subgroup.subgroupSize, 1u));
  if (has_sizes && sizes.minSubgroupSize) {
    l.subgroup_min = clamp_int(sizes.minSubgroupSize);
    l.subgroup_max = clamp_int(sizes.maxSubgroupSize);
  }
  f.queues = std::min(f.queues, 4u);
  l.queues = static_cast<int>(f.queues);
  if (sm.shaderSMCount) {
    l.compute_units = clamp_int(sm.shaderSMCount);
  } else if (cores.computeUnitsPerShaderArray) {
    l.compute_units = clamp_int(std::uint64_t{cores.shaderEngineCount} * cores.shaderArraysPerEngineCount *
                                cores.computeUnitsPerShaderArray);
  } else if (info.kind == Kind::cpu) {
    l.compute_units = clamp_int(std::max(std::thread::hardware_concurrency(), 1u));
  }
  f.timestamp_ns = static_cast<double>(limits.timestampPeriod);
  f.bindings = std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
  std::copy_n(p.properties.pipelineCacheUUID, VK_UUID_SIZE, f.pipeline_cache.begin());
  std::copy_n(limits.maxComputeWorkGroupCount, 3, f.most_groups.begin());

  auto feature = [&](bool has, const char* name) {
    if (has) info.features.emplace_back(name);
  };
  feature(small.shaderFloat16, "f16");
  feature(storage16.storageBuffer16BitAccess, "storage_16bit");
  feature(storage8.storageBuffer8BitAccess, "storage_8bit");
  feature(small.shaderInt8, "int8");
  feature(dot.shaderIntegerDotProduct, "int8_dot");
  feature((subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
              (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT),
          "subgroup_arithmetic");
  feature(info.kind == Kind::cpu || info.kind == Kind::igpu, "host_memory");
  return f;
}

}  // namespace switchyard::backends::vulkan
