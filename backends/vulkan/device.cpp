#include "backends/vulkan/device.h"

#include <cstdlib>

#include "backends/vulkan/queue.h"
#include "hal/shared/host_timeline.h"

namespace switchyard::backends::vulkan {

using namespace hal;

Status check_range(const char* what, Bytes offset, Bytes bytes, Bytes of) {
  if (offset <= of && bytes <= of - offset) return ok();
  return Error{Code::invalid_argument, std::string(what) + ": bytes " + std::to_string(offset) + " to " +
                                           std::to_string(offset + bytes) + " of a buffer of " + std::to_string(of)};
}

void barrier_in(const VolkDeviceTable& vk, VkCommandBuffer commands) {
  VkMemoryBarrier all{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  all.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT;
  all.dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &all,
                          0, nullptr, 0, nullptr);
}

void barrier_out(const VolkDeviceTable& vk, VkCommandBuffer commands) {
  VkMemoryBarrier all{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  all.srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT;
  all.dstAccessMask = VK_ACCESS_HOST_READ_BIT | VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                          VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1, &all, 0, nullptr, 0,
                          nullptr);
}

Status submit_and_wait(Context& c, Line& line, std::span<const VkCommandBuffer> commands, VkFence fence) {
  VkSubmitInfo info{VK_STRUCTURE_TYPE_SUBMIT_INFO};
  info.commandBufferCount = static_cast<std::uint32_t>(commands.size());
  info.pCommandBuffers = commands.data();
  {
    std::lock_guard lock(line.mutex);
    VK_TRY(c.vk.vkQueueSubmit(line.queue, 1, &info, fence));
  }
  VK_TRY(c.vk.vkWaitForFences(c.device, 1, &fence, VK_TRUE, UINT64_MAX));
  VK_TRY(c.vk.vkResetFences(c.device, 1, &fence));
  return ok();
}

Context::Closer::~Closer() {
  if (context.device) context.vk.vkDestroyDevice(context.device, nullptr);
}

Context::~Context() { free_raw(*this, dummy); }

namespace {

Status open_context(Context& c) {
  const Found& f = c.found;
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  c.instance->vkGetPhysicalDeviceMemoryProperties2(f.physical, &memory);
  c.memory = memory.memoryProperties;

  std::vector<float> priorities(f.queues, 1.0f);
  VkDeviceQueueCreateInfo queues{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queues.queueFamilyIndex = f.family;
  queues.queueCount = f.queues;
  queues.pQueuePriorities = priorities.data();
  std::vector<const char*> names;
  for (const std::string& e : f.extensions) names.push_back(e.c_str());

  // Only what the device has, and what kernels may ask for by Info::features.
  VkPhysicalDevice16BitStorageFeatures storage16{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
  VkPhysicalDevice8BitStorageFeaturesKHR storage8{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES_KHR};
  VkPhysicalDeviceShaderFloat16Int8FeaturesKHR small{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR};
  VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR};
  VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
  VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
  auto chain = [&](auto& link) {
    link.pNext = const_cast<void*>(info.pNext);
    info.pNext = &link;
  };
  storage16.storageBuffer16BitAccess = f.info.has_feature("storage_16bit");
  storage8.storageBuffer8BitAccess = f.info.has_feature("storage_8bit");
  small.shaderFloat16 = f.info.has_feature("f16");
  small.shaderInt8 = f.info.has_feature("int8");
  dot.shaderIntegerDotProduct = f.info.has_feature("int8_dot");
  sizes.subgroupSizeControl = VK_TRUE;
  chain(storage16);
  if (f.has_extension(VK_KHR_8BIT_STORAGE_EXTENSION_NAME)) chain(storage8);
  if (f.has_extension(VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)) chain(small);
  if (f.has_extension(VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)) chain(dot);
  if (f.has_extension(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) chain(sizes);
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queues;
  info.enabledExtensionCount = static_cast<std::uint32_t>(names.size());
  info.ppEnabledExtensionNames = names.data();
  VK_TRY(c.instance->vkCreateDevice(f.physical, &info, nullptr, &c.device));
  volkLoadDeviceTable(&c.vk, c.device);
  for (std::uint32_t q = 0; q < f.queues; ++q) {
    auto line = std::make_unique<Line>();
    c.vk.vkGetDeviceQueue(c.device, f.family, q, &line->queue);
    c.lines.push_back(std::move(line));
  }
  HAL_TRY(c.dummy, make_raw(c, {256, Memory::device, "dummy"}));
  return ok();
}

}  // namespace

Result<DeviceRef> VulkanDevice::open(std::shared_ptr<Instance> instance, const Found& found, const Host& host) {
  auto context = std::make_shared<Context>();
  context->instance = std::move(instance);
  context->found = found;
  context->info = found.info;
  context->family = found.family;
  context->host = host;
  const char* force = std::getenv("SWITCHYARD_VULKAN_FORCE_STAGING");
  context->force_staging = force && *force && std::string_view(force) != "0";
  HAL_CHECK(open_context(*context));
  std::shared_ptr<VulkanDevice> device(new VulkanDevice(context));
  context->identity = static_cast<const Device*>(device.get());
  return DeviceRef(device);
}

Result<std::vector<Heap>> VulkanDevice::heaps() const {
  const Context& c = *context_;
  const bool live = c.found.has_extension(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  if (live) memory.pNext = &budget;
  c.instance->vkGetPhysicalDeviceMemoryProperties2(c.found.physical, &memory);
  std::vector<Heap> heaps(c.memory.memoryHeapCount);
  for (std::uint32_t h = 0; h < c.memory.memoryHeapCount; ++h) {
    Heap& heap = heaps[h];
    heap.total = c.memory.memoryHeaps[h].size;
    heap.used = c.allocator.used(h);
    if (live) {
      heap.budget = budget.heapBudget[h] > budget.heapUsage[h] ? budget.heapBudget[h] - budget.heapUsage[h] : 0;
    } else {
      heap.budget = heap.total > heap.used ? heap.total - heap.used : 0;
    }
    heap.device_local = c.memory.memoryHeaps[h].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
    for (std::uint32_t t = 0; t < c.memory.memoryTypeCount; ++t)
      if (c.memory.memoryTypes[t].heapIndex == h &&
          (c.memory.memoryTypes[t].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
        heap.host_visible = true;
  }
  return heaps;
}

Path VulkanDevice::path(const Device& to) const {
  return &to == static_cast<const Device*>(this) ? Path::shared : Path::staged;
}

Result<BufferRef> VulkanDevice::allocate(const BufferDesc& desc) {
  HAL_TRY(RawBuffer raw, make_raw(*context_, desc));
  return BufferRef(std::make_shared<VulkanBuffer>(context_, raw, desc.memory));
}

Result<TimelineRef> VulkanDevice::create_timeline(std::uint64_t initial) {
  return TimelineRef(std::make_shared<HostTimeline>(initial));
}

Result<std::shared_ptr<Queue>> VulkanDevice::create_queue(QueueKind) {
  return make_queue(context_, shared_from_this());
}

Claim VulkanDevice::claim(const Segment& segment) const {
  if (context_->host.kernels) return context_->host.kernels->claim(segment, context_->info);
  Claim none;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n)
    none.declined.push_back({n, context_->info.id + " was opened without kernels"});
  return none;
}

Result<ProgramRef> VulkanDevice::compile(const Segment& segment, const CompileOptions& options) {
  if (!context_->host.kernels)
    return Error{Code::unsupported, "compile: " + context_->info.id + " was opened without kernels"};
  HAL_TRY(Lowered lowered, context_->host.kernels->lower(segment, context_->info));
  return VulkanProgram::make(context_, segment, std::move(lowered), options);
}

}  // namespace switchyard::backends::vulkan
