// Device memory: blocks cut by first fit, allocations of their own for large buffers, and the buffers on top of them.
#pragma once
#include <list>
#include <map>
#include <mutex>

#include "backends/vulkan/convert.h"

namespace switchyard::backends::vulkan {

struct Context;

// One VkDeviceMemory. `free`: offset -> bytes, neighbours joined. Host-visible coherent blocks stay mapped.
struct Block {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  std::uint32_t type = 0;
  hal::Bytes bytes = 0;
  std::byte* mapped = nullptr;
  bool dedicated = false;
  std::map<hal::Bytes, hal::Bytes> free;
};

struct Piece {
  std::list<Block>::iterator block;
  hal::Bytes offset = 0, bytes = 0;
};

// Any thread.
class Allocator {
 public:
  explicit Allocator(Context& context) : context_(context) {}
  ~Allocator();
  // out_of_memory with asked, used and budget.
  hal::Result<Piece> take(const VkMemoryRequirements& needs, hal::Memory memory, const std::string& label);
  void give(const Piece& piece);
  hal::Bytes used(std::uint32_t heap) const;  // bytes of VkDeviceMemory held, blocks counted whole

  static constexpr hal::Bytes block_bytes = 64ull << 20;
  static constexpr hal::Bytes dedicated_from = 16ull << 20;

 private:
  hal::Result<std::uint32_t> choose(std::uint32_t allowed, hal::Memory memory) const;
  hal::Result<std::list<Block>::iterator> add(std::uint32_t type, hal::Bytes bytes, bool dedicated,
                                              const std::string& label);

  Context& context_;
  mutable std::mutex mutex_;
  std::list<Block> blocks_;
};

// A VkBuffer with its memory; whoever holds it gives it back.
struct RawBuffer {
  VkBuffer buffer = VK_NULL_HANDLE;
  Piece piece;
  hal::Bytes bytes = 0;
  std::byte* mapped = nullptr;  // null: reached by copies only
};
hal::Result<RawBuffer> make_raw(Context& context, const hal::BufferDesc& desc);
void free_raw(Context& context, RawBuffer& raw);

class VulkanBuffer final : public hal::Buffer {
 public:
  VulkanBuffer(std::shared_ptr<Context> context, RawBuffer raw, hal::Memory memory);
  ~VulkanBuffer() override;
  hal::Bytes bytes() const override { return raw_.bytes; }
  const void* owner() const override;
  hal::Result<std::span<std::byte>> map() override;
  hal::Status read(hal::Bytes offset, std::span<std::byte> to) override;
  hal::Status write(hal::Bytes offset, std::span<const std::byte> from) override;

  VkBuffer handle() const { return raw_.buffer; }
  std::uint64_t serial() const { return serial_; }  // never used twice in a process, unlike addresses and handles

 private:
  std::shared_ptr<Context> context_;
  RawBuffer raw_;
  bool read_directly_;
  std::uint64_t serial_;
};

// Host access to memory that is not mapped: through a mapped staging buffer, with submissions of its own. Any thread.
class Transfer {
 public:
  explicit Transfer(Context& context) : context_(context) {}
  ~Transfer();
  hal::Status read(VkBuffer from, hal::Bytes offset, std::span<std::byte> to);
  hal::Status write(VkBuffer to, hal::Bytes offset, std::span<const std::byte> from);

 private:
  hal::Status prepare();
  hal::Status copy(VkBuffer from, VkBuffer to, const VkBufferCopy& region);

  Context& context_;
  std::mutex mutex_;
  RawBuffer staging_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  VkFence fence_ = VK_NULL_HANDLE;
};

}  // namespace switchyard::backends::vulkan
