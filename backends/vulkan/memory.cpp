#include "backends/vulkan/memory.h"

#include <algorithm>
#include <atomic>

#include "backends/vulkan/device.h"

namespace switchyard::backends::vulkan {

using namespace hal;

namespace {

constexpr Bytes staging_bytes = 4ull << 20;

std::string megabytes(Bytes bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

// Lowest offset of the block where `bytes` fit at `align`; false: nowhere.
bool cut(Block& block, Bytes bytes, Bytes align, Bytes& offset) {
  for (auto hole = block.free.begin(); hole != block.free.end(); ++hole) {
    Bytes start = (hole->first + align - 1) / align * align, end = hole->first + hole->second;
    if (start + bytes > end) continue;
    Bytes begin = hole->first;
    block.free.erase(hole);
    if (start > begin) block.free[begin] = start - begin;
    if (end > start + bytes) block.free[start + bytes] = end - start - bytes;
    offset = start;
    return true;
  }
  return false;
}

void join(Block& block, Bytes offset, Bytes bytes) {
  auto next = block.free.lower_bound(offset);
  if (next != block.free.end() && next->first == offset + bytes) {
    bytes += next->second;
    next = block.free.erase(next);
  }
  if (next != block.free.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  block.free[offset] = bytes;
}

}  // namespace

Allocator::~Allocator() {
  for (Block& b : blocks_) context_.vk.vkFreeMemory(context_.device, b.memory, nullptr);
}

Result<std::uint32_t> Allocator::choose(std::uint32_t allowed, Memory memory) const {
  const auto& p = context_.memory;
  for (VkMemoryPropertyFlags wanted : preferences(memory))
    for (std::uint32_t t = 0; t < p.memoryTypeCount; ++t) {
      VkMemoryPropertyFlags has = p.memoryTypes[t].propertyFlags;
      bool odd = has & ~(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
      if ((allowed >> t & 1) && (has & wanted) == wanted && !odd) return t;
    }
  return Error{Code::unsupported, context_.info.id + ": no memory type for this kind of buffer"};
}

Result<std::list<Block>::iterator> Allocator::add(std::uint32_t type, Bytes bytes, bool dedicated,
                                                  const std::string& label) {
  const auto& vk = context_.vk;
  Block block;
  block.type = type;
  block.bytes = bytes;
  block.dedicated = dedicated;
  VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
  info.allocationSize = bytes;
  info.memoryTypeIndex = type;
  const std::uint32_t heap = context_.memory.memoryTypes[type].heapIndex;
  Bytes held = 0;
  for (const Block& b : blocks_)
    if (context_.memory.memoryTypes[b.type].heapIndex == heap) held += b.bytes;
  // A driver that runs on the processor would go on giving memory until the machine has none.
  const bool fits =
      bytes <= context_.memory.memoryHeaps[heap].size && held <= context_.memory.memoryHeaps[heap].size - bytes;
  VkResult r =
      fits ? vk.vkAllocateMemory(context_.device, &info, nullptr, &block.memory) : VK_ERROR_OUT_OF_DEVICE_MEMORY;
  if (r != VK_SUCCESS) {
    Error error = fits ? error_of(r, "vkAllocateMemory", __FILE__, __LINE__) : Error{Code::out_of_memory, "allocate"};
    error.message += ": " + (label.empty() ? std::string("buffer") : label) + " needs " + megabytes(bytes) + " on " +
                     context_.info.id + ", which holds " + megabytes(held) + " of a heap of " +
                     megabytes(context_.memory.memoryHeaps[heap].size);
    return error;
  }
  constexpr VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  if ((context_.memory.memoryTypes[type].propertyFlags & host) == host) {
    void* at = nullptr;
    if (VkResult mapped = vk.vkMapMemory(context_.device, block.memory, 0, VK_WHOLE_SIZE, 0, &at);
        mapped != VK_SUCCESS) {
      vk.vkFreeMemory(context_.device, block.memory, nullptr);
      return error_of(mapped, "vkMapMemory", __FILE__, __LINE__);
    }
    block.mapped = static_cast<std::byte*>(at);
  }
  block.free[0] = bytes;
  return blocks_.insert(blocks_.end(), std::move(block));
}

Result<Piece> Allocator::take(const VkMemoryRequirements& needs, Memory memory, const std::string& label) {
  std::lock_guard lock(mutex_);
  HAL_TRY(std::uint32_t type, choose(needs.memoryTypeBits, memory));
  Piece piece;
  piece.bytes = needs.size;
  bool dedicated = needs.size >= dedicated_from;
  if (!dedicated)
    for (auto b = blocks_.begin(); b != blocks_.end(); ++b)
      if (b->type == type && !b->dedicated && cut(*b, needs.size, needs.alignment, piece.offset)) {
        piece.block = b;
        return piece;
      }
  const Bytes heap = context_.memory.memoryHeaps[context_.memory.memoryTypes[type].heapIndex].size;
  HAL_TRY(piece.block,
          add(type, dedicated ? needs.size : std::max(std::min(block_bytes, heap / 16), needs.size), dedicated, label));
  if (!cut(*piece.block, needs.size, needs.alignment, piece.offset))
    return Error{Code::internal, "a fresh block has no room"};
  return piece;
}

void Allocator::give(const Piece& piece) {
  std::lock_guard lock(mutex_);
  Block& block = *piece.block;
  join(block, piece.offset, piece.bytes);
  bool empty = block.free.size() == 1 && block.free.begin()->second == block.bytes;
  // One empty block per type is kept, so that a buffer made and freed in turn does not go to the driver each time.
  bool spare = !block.dedicated && std::none_of(blocks_.begin(), blocks_.end(), [&](const Block& b) {
    return &b != &block && b.type == block.type && !b.dedicated;
  });
  if (!empty || spare) return;
  context_.vk.vkFreeMemory(context_.device, block.memory, nullptr);
  blocks_.erase(piece.block);
}

Bytes Allocator::used(std::uint32_t heap) const {
  std::lock_guard lock(mutex_);
  Bytes sum = 0;
  for (const Block& b : blocks_)
    if (context_.memory.memoryTypes[b.type].heapIndex == heap) sum += b.bytes;
  return sum;
}

Result<RawBuffer> make_raw(Context& c, const BufferDesc& desc) {
  if (desc.bytes == 0) return Error{Code::invalid_argument, "allocate: 0 bytes asked of " + c.info.id};
  if (desc.bytes > c.info.limits.max_buffer)
    return Error{Code::out_of_memory, "allocate: " + (desc.label.empty() ? std::string("buffer") : desc.label) +
                                          " needs " + megabytes(desc.bytes) + ", the largest buffer of " + c.info.id +
                                          " is " + megabytes(c.info.limits.max_buffer)};
  RawBuffer raw;
  raw.bytes = desc.bytes;
  VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  info.size = (desc.bytes + 3) / 4 * 4;  // kernels read whole words
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  info.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  VK_TRY(c.vk.vkCreateBuffer(c.device, &info, nullptr, &raw.buffer));
  VkMemoryRequirements needs{};
  c.vk.vkGetBufferMemoryRequirements(c.device, raw.buffer, &needs);
  auto piece = c.allocator.take(needs, desc.memory, desc.label);
  if (!piece) {
    c.vk.vkDestroyBuffer(c.device, raw.buffer, nullptr);
    return std::move(piece).error();
  }
  raw.piece = *piece;
  if (VkResult r = c.vk.vkBindBufferMemory(c.device, raw.buffer, raw.piece.block->memory, raw.piece.offset);
      r != VK_SUCCESS) {
    free_raw(c, raw);
    return error_of(r, "vkBindBufferMemory", __FILE__, __LINE__);
  }
  bool hidden = desc.memory == Memory::device && c.force_staging;
  if (raw.piece.block->mapped && !hidden) raw.mapped = raw.piece.block->mapped + raw.piece.offset;
  return raw;
}

void free_raw(Context& c, RawBuffer& raw) {
  if (!raw.buffer) return;
  c.vk.vkDestroyBuffer(c.device, raw.buffer, nullptr);
  c.allocator.give(raw.piece);
  raw = {};
}

VulkanBuffer::VulkanBuffer(std::shared_ptr<Context> context, RawBuffer raw, Memory memory)
    : context_(std::move(context)), raw_(raw) {
  static std::atomic<std::uint64_t> next{1};
  serial_ = next++;
  // The host reads uncached memory of a device very slowly; a copy is faster.
  bool cached = context_->memory.memoryTypes[raw_.piece.block->type].propertyFlags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  read_directly_ = raw_.mapped && (cached || memory != Memory::device);
}

VulkanBuffer::~VulkanBuffer() { free_raw(*context_, raw_); }

const void* VulkanBuffer::owner() const { return context_->identity; }

Result<std::span<std::byte>> VulkanBuffer::map() {
  if (!raw_.mapped)
    return Error{Code::unsupported,
                 "map: memory of " + context_->info.id + " that the host cannot see; use read and write"};
  return std::span(raw_.mapped, raw_.bytes);
}

Status VulkanBuffer::read(Bytes offset, std::span<std::byte> to) {
  HAL_CHECK(check_range("read", offset, to.size(), raw_.bytes));
  if (to.empty()) return ok();
  if (!read_directly_) return context_->transfer.read(raw_.buffer, offset, to);
  std::memcpy(to.data(), raw_.mapped + offset, to.size());
  return ok();
}

Status VulkanBuffer::write(Bytes offset, std::span<const std::byte> from) {
  HAL_CHECK(check_range("write", offset, from.size(), raw_.bytes));
  if (from.empty()) return ok();
  if (!raw_.mapped) return context_->transfer.write(raw_.buffer, offset, from);
  std::memcpy(raw_.mapped + offset, from.data(), from.size());
  return ok();
}

Transfer::~Transfer() {
  const auto& vk = context_.vk;
  if (fence_) vk.vkDestroyFence(context_.device, fence_, nullptr);
  if (pool_) vk.vkDestroyCommandPool(context_.device, pool_, nullptr);
  free_raw(context_, staging_);
}

Status Transfer::prepare() {
  const auto& vk = context_.vk;
  if (!staging_.buffer) {
    HAL_TRY(staging_, make_raw(context_, {staging_bytes, Memory::readback, "staging"}));
  }
  if (!pool_) {
    VkCommandPoolCreateInfo info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    info.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    info.queueFamilyIndex = context_.family;
    VK_TRY(vk.vkCreateCommandPool(context_.device, &info, nullptr, &pool_));
  }
  if (!commands_) {
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
    info.commandPool = pool_;
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    info.commandBufferCount = 1;
    VK_TRY(vk.vkAllocateCommandBuffers(context_.device, &info, &commands_));
  }
  if (!fence_) {
    VkFenceCreateInfo info{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VK_TRY(vk.vkCreateFence(context_.device, &info, nullptr, &fence_));
  }
  return ok();
}

Status Transfer::copy(VkBuffer from, VkBuffer to, const VkBufferCopy& region) {
  const auto& vk = context_.vk;
  VK_TRY(vk.vkResetCommandPool(context_.device, pool_, 0));
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  VK_TRY(vk.vkBeginCommandBuffer(commands_, &begin));
  barrier_in(vk, commands_);
  vk.vkCmdCopyBuffer(commands_, from, to, 1, &region);
  barrier_out(vk, commands_);
  VK_TRY(vk.vkEndCommandBuffer(commands_));
  return submit_and_wait(context_, *context_.lines.back(), {&commands_, 1}, fence_);
}

Status Transfer::read(VkBuffer from, Bytes offset, std::span<std::byte> to) {
  std::lock_guard lock(mutex_);
  HAL_CHECK(prepare());
  for (Bytes done = 0; done < to.size();) {
    Bytes n = std::min<Bytes>(staging_bytes, to.size() - done);
    HAL_CHECK(copy(from, staging_.buffer, {offset + done, 0, n}));
    std::memcpy(to.data() + done, staging_.mapped, n);
    done += n;
  }
  return ok();
}

Status Transfer::write(VkBuffer to, Bytes offset, std::span<const std::byte> from) {
  std::lock_guard lock(mutex_);
  HAL_CHECK(prepare());
  for (Bytes done = 0; done < from.size();) {
    Bytes n = std::min<Bytes>(staging_bytes, from.size() - done);
    std::memcpy(staging_.mapped, from.data() + done, n);
    HAL_CHECK(copy(staging_.buffer, to, {0, offset + done, n}));
    done += n;
  }
  return ok();
}

}  // namespace switchyard::backends::vulkan
