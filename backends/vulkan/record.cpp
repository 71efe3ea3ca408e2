// The launches of a program as one command buffer.
#include <algorithm>

#include "backends/vulkan/device.h"

namespace switchyard::backends::vulkan {

using namespace hal;

namespace {

void compute_barrier(const VolkDeviceTable& vk, VkCommandBuffer commands) {
  VkMemoryBarrier all{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  all.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  all.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                          &all, 0, nullptr, 0, nullptr);
}

std::string shown(const std::array<std::uint32_t, 3>& g) {
  return std::to_string(g[0]) + " x " + std::to_string(g[1]) + " x " + std::to_string(g[2]);
}

}  // namespace

void VulkanProgram::destroy(Recording& r) {
  const auto& vk = context_->vk;
  if (r.pool) vk.vkDestroyCommandPool(context_->device, r.pool, nullptr);
  if (r.sets) vk.vkDestroyDescriptorPool(context_->device, r.sets, nullptr);
  r.pool = VK_NULL_HANDLE;
  r.sets = VK_NULL_HANDLE;
}

Result<Recording> VulkanProgram::record(const Run& run, Dims dims, VkQueryPool queries, std::uint32_t first_query) {
  Recording made;
  if (Status status = fill(made, run, dims, queries, first_query); !status) {
    destroy(made);
    return std::move(status).error();
  }
  return made;
}

Result<VkDescriptorSet> VulkanProgram::bind(Recording& r, std::size_t index, const Run& run, Dims dims) const {
  const auto& vk = context_->vk;
  const Launch& l = plan_.launches[index];
  VkDescriptorSetAllocateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
  info.descriptorPool = r.sets;
  info.descriptorSetCount = 1;
  info.pSetLayouts = &pipelines_[index]->set;
  VkDescriptorSet set = VK_NULL_HANDLE;
  VK_TRY(vk.vkAllocateDescriptorSets(context_->device, &info, &set));
  std::vector<VkDescriptorBufferInfo> ranges(l.arguments.size());
  std::vector<VkWriteDescriptorSet> writes(l.arguments.size());
  for (std::size_t i = 0; i < l.arguments.size(); ++i) {
    const Arg& a = l.arguments[i];
    Slice s = plan_.resolve(a, run, constants_);
    if (!s.buffer) {
      ranges[i] = {context_->dummy.buffer, 0, VK_WHOLE_SIZE};
    } else {
      // What the kernel touches: the part named, a whole state, or the value at these dims; a slice may be longer.
      Bytes needs = a.bytes;
      if (!needs) {
        const Place& place = plan_.places[a.value];
        Bytes whole = place.where == Place::Where::constant ? place.bytes
                      : plan_.is_state(place)               ? s.size() + a.offset
                                                            : tensor_bytes(tensors_[a.value], dims);
        needs = whole > a.offset ? whole - a.offset : 0;
      }
      if (needs > context_->info.limits.max_binding)
        return Error{Code::unsupported, "launch " + l.entry + " of node " + std::to_string(l.node) + ": argument " +
                                            std::to_string(i) + " covers " + std::to_string(needs) +
                                            " bytes at these dims, " + context_->info.id + " binds at most " +
                                            std::to_string(context_->info.limits.max_binding) +
                                            "; run fewer rows at once"};
      ranges[i] = {static_cast<const VulkanBuffer&>(*s.buffer).handle(), s.offset,
                   std::max<Bytes>((needs + 3) / 4 * 4, 4)};
    }
    writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
    writes[i].dstSet = set;
    writes[i].dstBinding = static_cast<std::uint32_t>(i);
    writes[i].descriptorCount = 1;
    writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    writes[i].pBufferInfo = &ranges[i];
  }
  vk.vkUpdateDescriptorSets(context_->device, static_cast<std::uint32_t>(writes.size()), writes.data(), 0, nullptr);
  return set;
}

Status VulkanProgram::fill(Recording& r, const Run& run, Dims dims, VkQueryPool queries, std::uint32_t first_query) {
  const auto& vk = context_->vk;
  VkDevice device = context_->device;
  std::uint32_t sets = 0, bindings = 0;
  for (const Launch& l : plan_.launches) {
    if (!runs(l, dims)) continue;
    ++sets;
    bindings += static_cast<std::uint32_t>(l.arguments.size());
  }
  if (sets) {
    VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, std::max(bindings, 1u)};
    VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
    info.maxSets = sets;
    info.poolSizeCount = 1;
    info.pPoolSizes = &size;
    VK_TRY(vk.vkCreateDescriptorPool(device, &info, nullptr, &r.sets));
  }
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.queueFamilyIndex = context_->family;
  VK_TRY(vk.vkCreateCommandPool(device, &pool, nullptr, &r.pool));
  VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  info.commandPool = r.pool;
  info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  info.commandBufferCount = 1;
  VK_TRY(vk.vkAllocateCommandBuffers(device, &info, &r.commands));
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  VK_TRY(vk.vkBeginCommandBuffer(r.commands, &begin));
  barrier_in(vk, r.commands);

  bool barrier = false;
  for (std::size_t i = 0; i < plan_.launches.size(); ++i) {
    const Launch& l = plan_.launches[i];
    // A launch that does not run leaves its barrier to the next one that does.
    barrier = barrier || plan_.barrier_before[i];
    if (!runs(l, dims)) continue;
    const auto grid = l.grid(l, dims);
    const auto& most = context_->found.most_groups;
    if (grid[0] > most[0] || grid[1] > most[1] || grid[2] > most[2])
      return Error{Code::unsupported, "launch " + l.entry + " of node " + std::to_string(l.node) + ": a grid of " +
                                          shown(grid) + " workgroups, " + context_->info.id + " takes " + shown(most)};
    if (barrier || (queries && !r.nodes.empty())) compute_barrier(vk, r.commands);
    barrier = false;
    HAL_TRY(VkDescriptorSet set, bind(r, i, run, dims));
    const Pipeline& p = *pipelines_[i];
    const auto parameters = parameter_block(l, dims);
    const auto query = first_query + 2 * static_cast<std::uint32_t>(r.nodes.size());
    if (queries) vk.vkCmdWriteTimestamp(r.commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, query);
    vk.vkCmdBindPipeline(r.commands, VK_PIPELINE_BIND_POINT_COMPUTE, p.handle);
    vk.vkCmdBindDescriptorSets(r.commands, VK_PIPELINE_BIND_POINT_COMPUTE, p.layout, 0, 1, &set, 0, nullptr);
    vk.vkCmdPushConstants(r.commands, p.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                          static_cast<std::uint32_t>(parameters.size()), parameters.data());
    vk.vkCmdDispatch(r.commands, grid[0], grid[1], grid[2]);
    if (queries) vk.vkCmdWriteTimestamp(r.commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, queries, query + 1);
    r.nodes.push_back(l.node);
  }
  barrier_out(vk, r.commands);
  VK_TRY(vk.vkEndCommandBuffer(r.commands));
  return ok();
}

}  // namespace switchyard::backends::vulkan
