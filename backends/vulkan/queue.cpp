#include "backends/vulkan/queue.h"

#include <algorithm>

#include "hal/shared/staging.h"

namespace switchyard::backends::vulkan {

using namespace hal;

namespace {

// Runs one submission after another, on the queue's thread.
class Executor {
 public:
  explicit Executor(std::shared_ptr<Context> context)
      : context_(std::move(context)), line_(*context_->lines[context_->next_line++ % context_->lines.size()]) {}
  ~Executor();
  Status prepare();
  Status execute(const Submission& submission);

 private:
  // One command buffer of the batch, with what to do with it afterwards.
  struct Timed {
    VulkanProgram* program;
    Recording recording;
    std::uint32_t command, first_query;
  };
  Status add(const Copy& copy);
  Status add(const Fill& fill);
  Status add(const Run& run, std::uint32_t command, bool timed);
  Result<VkCommandBuffer> own();  // the open command buffer of copies and fills
  Status close_own();
  Status flush(Timing* timing);
  Status read_spans(Timing& timing, std::chrono::nanoseconds begin, std::chrono::nanoseconds end);
  void drop();
  Status check_slice(const char* what, const Slice& slice) const;
  bool mine(const Slice& s) const { return s.buffer->owner() == context_->identity; }

  std::shared_ptr<Context> context_;
  Line& line_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkFence fence_ = VK_NULL_HANDLE;
  VkCommandBuffer own_ = VK_NULL_HANDLE;
  std::vector<VkCommandBuffer> allocated_;  // of pool_, reused after its reset
  std::size_t allocated_used_ = 0;
  std::vector<VkCommandBuffer> batch_;
  std::vector<std::pair<VulkanProgram*, Recording*>> replayed_;
  std::vector<Timed> timed_;
  VkQueryPool queries_ = VK_NULL_HANDLE;
  std::uint32_t queries_size_ = 0, queries_used_ = 0;
};

Executor::~Executor() {
  const auto& vk = context_->vk;
  if (pool_) vk.vkDestroyCommandPool(context_->device, pool_, nullptr);
  if (fence_) vk.vkDestroyFence(context_->device, fence_, nullptr);
  if (queries_) vk.vkDestroyQueryPool(context_->device, queries_, nullptr);
}

Status Executor::prepare() {
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
  pool.queueFamilyIndex = context_->family;
  VK_TRY(context_->vk.vkCreateCommandPool(context_->device, &pool, nullptr, &pool_));
  VkFenceCreateInfo fence{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  VK_TRY(context_->vk.vkCreateFence(context_->device, &fence, nullptr, &fence_));
  return ok();
}

Result<VkCommandBuffer> Executor::own() {
  const auto& vk = context_->vk;
  if (own_) {
    barrier_in(vk, own_);
    return own_;
  }
  if (allocated_used_ == allocated_.size()) {
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
    info.commandPool = pool_;
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    info.commandBufferCount = 1;
    VkCommandBuffer made = VK_NULL_HANDLE;
    VK_TRY(vk.vkAllocateCommandBuffers(context_->device, &info, &made));
    allocated_.push_back(made);
  }
  VkCommandBuffer next = allocated_[allocated_used_];
  VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  VK_TRY(vk.vkBeginCommandBuffer(next, &begin));
  ++allocated_used_;
  own_ = next;
  barrier_in(vk, own_);
  return own_;
}

Status Executor::close_own() {
  if (!own_) return ok();
  VkCommandBuffer closed = std::exchange(own_, VK_NULL_HANDLE);
  barrier_out(context_->vk, closed);
  VK_TRY(context_->vk.vkEndCommandBuffer(closed));
  batch_.push_back(closed);
  return ok();
}

Status Executor::check_slice(const char* what, const Slice& s) const {
  if (!s.buffer) return Error{Code::invalid_argument, std::string(what) + ": no buffer"};
  if (s.offset > s.buffer->bytes()) return check_range(what, s.offset, 0, s.buffer->bytes());
  return check_range(what, s.offset, s.size(), s.buffer->bytes());
}

Status Executor::add(const Copy& copy) {
  HAL_CHECK(check_slice("copy source", copy.src));
  HAL_CHECK(check_slice("copy destination", copy.dst));
  if (copy.src.size() != copy.dst.size())
    return Error{Code::invalid_argument,
                 "copy: " + std::to_string(copy.src.size()) + " bytes into " + std::to_string(copy.dst.size())};
  if (copy.src.size() == 0) return ok();
  if (!mine(copy.src) || !mine(copy.dst)) {
    HAL_CHECK(flush(nullptr));
    return staged_copy(copy.src, copy.dst);
  }
  const auto &src = static_cast<const VulkanBuffer&>(*copy.src.buffer),
             &dst = static_cast<const VulkanBuffer&>(*copy.dst.buffer);
  const Bytes n = copy.src.size();
  if (&src == &dst && copy.src.offset < copy.dst.offset + n && copy.dst.offset < copy.src.offset + n)
    return Error{Code::invalid_argument, "copy: source and destination overlap in one buffer"};
  HAL_TRY(VkCommandBuffer commands, own());
  VkBufferCopy region{copy.src.offset, copy.dst.offset, n};
  context_->vk.vkCmdCopyBuffer(commands, src.handle(), dst.handle(), 1, &region);
  return ok();
}

Status Executor::add(const Fill& fill) {
  HAL_CHECK(check_slice("fill", fill.dst));
  if (fill.dst.offset % 4 || fill.dst.size() % 4)
    return Error{Code::invalid_argument, "fill: offset " + std::to_string(fill.dst.offset) + " and size " +
                                             std::to_string(fill.dst.size()) + " must be multiples of 4"};
  if (!mine(fill.dst)) return Error{Code::invalid_argument, "fill: a buffer of another device"};
  if (fill.dst.size() == 0) return ok();
  HAL_TRY(VkCommandBuffer commands, own());
  context_->vk.vkCmdFillBuffer(commands, static_cast<const VulkanBuffer&>(*fill.dst.buffer).handle(), fill.dst.offset,
                               fill.dst.size(), fill.word);
  return ok();
}

Status Executor::add(const Run& run, std::uint32_t command, bool timed) {
  auto* program = dynamic_cast<VulkanProgram*>(run.program.get());
  if (!program || &program->context() != context_.get())
    return Error{Code::invalid_argument, "run: the program was not compiled by " + context_->info.id};
  HAL_CHECK(close_own());
  if (!timed) {
    HAL_TRY(Recording * recording, program->acquire(run));
    replayed_.emplace_back(program, recording);
    batch_.push_back(recording->commands);
    return ok();
  }
  HAL_TRY(Recording recording, program->record_timed(run, queries_, queries_used_));
  const auto first = queries_used_;
  queries_used_ += 2 * static_cast<std::uint32_t>(recording.nodes.size());
  batch_.push_back(recording.commands);
  timed_.push_back({program, std::move(recording), command, first});
  return ok();
}

Status Executor::read_spans(Timing& timing, std::chrono::nanoseconds begin, std::chrono::nanoseconds end) {
  if (!queries_used_) return ok();
  std::vector<std::uint64_t> ticks(queries_used_);
  VK_TRY(context_->vk.vkGetQueryPoolResults(context_->device, queries_, 0, queries_used_, ticks.size() * 8,
                                            ticks.data(), 8, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT));
  const auto bits = context_->found.timestamp_bits;
  const std::uint64_t mask = bits >= 64 ? ~0ull : (1ull << bits) - 1;
  auto since = [&](std::uint64_t tick) {
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(static_cast<double>((tick - ticks[0]) & mask) * context_->found.timestamp_ns));
  };
  // The device's clock is laid into the middle of what the host saw: half of the difference is the way there, half the
  // way back.
  const auto shift = begin + std::max((end - begin - since(ticks.back())) / 2, std::chrono::nanoseconds(0));
  for (const Timed& t : timed_)
    for (std::size_t i = 0; i < t.recording.nodes.size(); ++i)
      timing.spans.push_back({t.command, t.recording.nodes[i], shift + since(ticks[t.first_query + 2 * i]),
                              shift + since(ticks[t.first_query + 2 * i + 1])});
  return ok();
}

Status Executor::flush(Timing* timing) {
  HAL_CHECK(close_own());
  if (batch_.empty()) return ok();
  auto begin = steady_now();
  HAL_CHECK(submit_and_wait(*context_, line_, batch_, fence_));
  if (timing) HAL_CHECK(read_spans(*timing, begin, steady_now()));
  drop();
  return ok();
}

// Gives everything of the batch back; the device is done with it, or lost.
void Executor::drop() {
  for (auto& [program, recording] : replayed_) program->release(recording);
  for (Timed& t : timed_) t.program->destroy(t.recording);
  replayed_.clear();
  timed_.clear();
  batch_.clear();
  own_ = VK_NULL_HANDLE;
  allocated_used_ = 0;
  queries_used_ = 0;
  context_->vk.vkResetCommandPool(context_->device, pool_, 0);
}

Status Executor::execute(const Submission& submission) {
  const std::vector<Command>& commands = submission.commands;
  Timing* timing = submission.timing.get();
  bool timed = timing && timing->want_spans && context_->found.timestamp_bits;
  if (timed) {
    std::uint32_t needed = 0;
    for (const Command& c : commands)
      if (auto* run = std::get_if<Run>(&c))
        if (auto* program = dynamic_cast<VulkanProgram*>(run->program.get())) needed += 2 * program->launches();
    if (needed > queries_size_) {
      if (queries_) context_->vk.vkDestroyQueryPool(context_->device, std::exchange(queries_, VK_NULL_HANDLE), nullptr);
      VkQueryPoolCreateInfo info{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
      info.queryType = VK_QUERY_TYPE_TIMESTAMP;
      info.queryCount = queries_size_ = needed;
      VK_TRY(context_->vk.vkCreateQueryPool(context_->device, &info, nullptr, &queries_));
    }
    if (needed) {
      HAL_TRY(VkCommandBuffer reset, own());
      context_->vk.vkCmdResetQueryPool(reset, queries_, 0, needed);
    }
  }
  auto all = [&]() -> Status {
    for (std::size_t i = 0; i < commands.size(); ++i)
      HAL_CHECK(std::visit(
          [&](const auto& c) -> Status {
            if constexpr (std::is_same_v<std::decay_t<decltype(c)>, Run>) {
              return add(c, static_cast<std::uint32_t>(i), timed);
            } else {
              return add(c);
            }
          },
          commands[i]));
    return flush(timed ? timing : nullptr);
  };
  Status status = all();
  if (!status) drop();
  return status;
}

}  // namespace

Result<std::shared_ptr<Queue>> make_queue(std::shared_ptr<Context> context, std::shared_ptr<const void> keep_alive) {
  auto executor = std::make_shared<Executor>(std::move(context));
  HAL_CHECK(executor->prepare());
  return std::shared_ptr<Queue>(std::make_shared<HostQueue>(
      [executor](const Submission& submission) { return executor->execute(submission); }, std::move(keep_alive)));
}

}  // namespace switchyard::backends::vulkan
