// One open Vulkan device: what its buffers, queues and programs share, and the Device on top of it.
#pragma once
#include <atomic>

#include "backends/vulkan/instance.h"
#include "backends/vulkan/memory.h"
#include "backends/vulkan/program.h"
#include "hal/shared/launch_plan.h"

namespace switchyard::backends::vulkan {

// A VkQueue; submissions to it take the mutex.
struct Line {
  VkQueue queue = VK_NULL_HANDLE;
  std::mutex mutex;
};

// What discovery learns of a physical device.
struct Found {
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  hal::Info info;
  std::uint32_t family = 0, queues = 1, timestamp_bits = 0;
  double timestamp_ns = 1;  // of one tick
  std::uint32_t bindings = 4;
  std::array<std::uint32_t, 3> most_groups{65535, 65535, 65535};
  std::array<std::uint8_t, VK_UUID_SIZE> pipeline_cache{};  // names the driver's build, for a cache on disk
  std::vector<std::string> extensions;                      // those to be enabled
  bool has_extension(const char* name) const;
};
Found describe(const Instance& instance, VkPhysicalDevice physical, std::size_t index);

// Lives as long as the last buffer, queue or program of the device.
struct Context {
  std::shared_ptr<Instance> instance;
  Found found;
  hal::Info info;
  const void* identity = nullptr;  // of the Device
  hal::Host host;
  VkDevice device = VK_NULL_HANDLE;
  VolkDeviceTable vk{};
  std::uint32_t family = 0;
  VkPhysicalDeviceMemoryProperties memory{};
  bool force_staging = false;
  std::vector<std::unique_ptr<Line>> lines;
  std::atomic<std::size_t> next_line{0};
  RawBuffer dummy;  // bound where an optional argument is absent

  // Declared before what needs the device, so that it goes after it.
  struct Closer {
    Context& context;
    ~Closer();
  } closer{*this};
  Allocator allocator{*this};
  Transfer transfer{*this};
  Pipelines pipelines{*this};
  hal::ConstantStore constants;

  ~Context();
};

hal::Status check_range(const char* what, hal::Bytes offset, hal::Bytes bytes, hal::Bytes of);

// All that earlier work wrote is seen by what follows; all that was written is seen by the host and by later work.
void barrier_in(const VolkDeviceTable& vk, VkCommandBuffer commands);
void barrier_out(const VolkDeviceTable& vk, VkCommandBuffer commands);
// device_lost if the device is gone. The fence is unsignalled before and after.
hal::Status submit_and_wait(Context& context, Line& line, std::span<const VkCommandBuffer> commands, VkFence fence);

class VulkanDevice final : public hal::Device, public std::enable_shared_from_this<VulkanDevice> {
 public:
  static hal::Result<hal::DeviceRef> open(std::shared_ptr<Instance> instance, const Found& found,
                                          const hal::Host& host);

  const hal::Info& info() const override { return context_->info; }
  hal::Result<std::vector<hal::Heap>> heaps() const override;
  hal::Path path(const Device& to) const override;
  hal::Result<hal::BufferRef> allocate(const hal::BufferDesc& desc) override;
  hal::Result<hal::TimelineRef> create_timeline(std::uint64_t initial) override;
  hal::Result<std::shared_ptr<hal::Queue>> create_queue(hal::QueueKind kind) override;
  hal::Claim claim(const hal::Segment& segment) const override;
  hal::Result<hal::ProgramRef> compile(const hal::Segment& segment, const hal::CompileOptions& options) override;

 private:
  explicit VulkanDevice(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  std::shared_ptr<Context> context_;
};

}  // namespace switchyard::backends::vulkan
