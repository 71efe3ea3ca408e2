// Programs: pipelines of a device, shared by what they are made of; a segment's launches, recorded once and replayed.
#pragma once
#include "backends/vulkan/memory.h"
#include "hal/shared/launch_plan.h"

namespace switchyard::backends::vulkan {

struct Pipeline {
  VkDescriptorSetLayout set = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkPipeline handle = VK_NULL_HANDLE;
  std::uint32_t bindings = 0;
};

// Launches with the same code, entry, constants and argument count share a pipeline. Any thread.
class Pipelines {
 public:
  explicit Pipelines(Context& context) : context_(context) {}
  ~Pipelines();
  // The pipeline lives as long as the device. unsupported: the launch needs more than the device has.
  hal::Result<const Pipeline*> get(const hal::Launch& launch);
  // Reads the driver's cache of compiled kernels from a folder once; writes it back where it has grown.
  void load(const std::string& folder);
  void save(const std::string& folder);

 private:
  struct Key {
    const void* code;
    std::string entry;
    std::vector<std::uint32_t> spec;
    std::uint32_t bindings, push_bytes, subgroup;
    auto operator<=>(const Key&) const = default;
  };
  hal::Status make(const Key& key, const hal::Launch& launch, Pipeline& pipeline);
  hal::Status check(const hal::Launch& launch) const;
  std::string file(const std::string& folder) const;

  Context& context_;
  std::mutex mutex_;
  std::map<Key, Pipeline> pipelines_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  std::size_t saved_bytes_ = 0;
};

// A command buffer that runs all launches of a program over certain memory at certain dims.
struct Recording {
  std::vector<std::uint64_t> key;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkDescriptorPool sets = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  std::vector<std::uint32_t> nodes;  // of the launches in it: one pair of timestamps each, where they were asked for
  bool busy = false;
  std::uint64_t last_use = 0;
};

class VulkanProgram final : public hal::Program {
 public:
  static hal::Result<hal::ProgramRef> make(std::shared_ptr<Context> context, const hal::Segment& segment,
                                           hal::Lowered lowered, const hal::CompileOptions& options);
  ~VulkanProgram() override;
  hal::Bytes resident() const override { return plan_.resident; }
  hal::Bytes scratch() const override { return plan_.scratch; }
  const Context& context() const { return *context_; }
  std::uint32_t launches() const { return static_cast<std::uint32_t>(plan_.launches.size()); }

  // A recording for this run, from the cache or fresh; busy until given back. Any thread.
  hal::Result<Recording*> acquire(const hal::Run& run);
  void release(Recording* recording);
  // A recording that stamps begin and end of each launch into queries first_query, first_query + 1, ... ; not cached.
  hal::Result<Recording> record_timed(const hal::Run& run, VkQueryPool queries, std::uint32_t first_query);
  void destroy(Recording& recording);

  static constexpr std::size_t kept_recordings = 32;

 private:
  explicit VulkanProgram(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  hal::Status check(const hal::Run& run, hal::Dims dims) const;
  hal::Result<Recording> record(const hal::Run& run, hal::Dims dims, VkQueryPool queries, std::uint32_t first_query);
  hal::Status fill(Recording& recording, const hal::Run& run, hal::Dims dims, VkQueryPool queries,
                   std::uint32_t first_query);
  hal::Result<VkDescriptorSet> bind(Recording& recording, std::size_t launch, const hal::Run& run,
                                    hal::Dims dims) const;

  std::shared_ptr<Context> context_;
  hal::LaunchPlan plan_;
  std::vector<hal::Tensor> tensors_;  // values, then temporaries
  std::vector<hal::BufferRef> constants_;
  std::vector<const Pipeline*> pipelines_;  // one per launch
  std::mutex mutex_;
  std::list<Recording> recordings_;
  std::uint64_t uses_ = 0;
};

}  // namespace switchyard::backends::vulkan
