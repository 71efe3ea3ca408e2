#include "backends/cpu/device.h"

#include <sched.h>

#include <atomic>
#include <thread>

#include "hal/shared/host_queue.h"
#include "hal/shared/host_timeline.h"

namespace switchyard::backends::cpu {

using namespace hal;

// While it lives, threads that are started stay on these CPUs as a set, not one to one, so that the system can still
// move them away from a busy core.
class StartedOn {
 public:
  explicit StartedOn(const std::vector<int>& cpus)
      : bind_(!cpus.empty() && sched_getaffinity(0, sizeof before_, &before_) == 0) {
    if (!bind_) return;
    cpu_set_t these;
    CPU_ZERO(&these);
    for (int cpu : cpus)
      if (cpu < CPU_SETSIZE) CPU_SET(cpu, &these);
    sched_setaffinity(0, sizeof these, &these);
  }
  StartedOn(const StartedOn&) = delete;
  StartedOn& operator=(const StartedOn&) = delete;
  ~StartedOn() {
    if (bind_) sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_{};
  bool bind_;
};

CpuDevice::CpuDevice(Found found, const Host& host) : info_(std::move(found.info)), host_(host) {
  if (found.topology.bound) cpus_ = std::move(found.topology.cpus);
  const StartedOn cpus(cpus_);
  pool_ = std::make_unique<Pool>(found.threads);
}

Result<std::vector<Heap>> CpuDevice::heaps() const { return std::vector<Heap>{read_memory(used_->load())}; }

Path CpuDevice::path(const Device& to) const {
  return to.info().accepts(Format::call) && to.info().id == info_.id ? Path::shared : Path::staged;
}

Result<BufferRef> CpuDevice::allocate(const BufferDesc& desc) {
  HAL_TRY(BufferRef buffer, HostBuffer::make(desc.bytes, desc.label, this, used_));
  return buffer;
}

Result<BufferRef> CpuDevice::adopt(const External& external) {
  if (external.type != Handle::host_pointer)
    return Error{Code::unsupported, "adopt: " + info_.id + " takes host pointers only"};
  if (external.value == 0 || external.value % info_.limits.align != 0)
    return Error{Code::invalid_argument,
                 "adopt: the pointer must be a multiple of " + std::to_string(info_.limits.align)};
  return BufferRef(HostBuffer::wrap(reinterpret_cast<std::byte*>(external.value), external.bytes, this, nullptr));
}

Result<TimelineRef> CpuDevice::create_timeline(std::uint64_t initial) {
  return TimelineRef(std::make_shared<HostTimeline>(initial));
}

Result<std::shared_ptr<Queue>> CpuDevice::create_queue(QueueKind) {
  auto scratch = std::make_shared<Scratch>();
  auto run = [this, scratch](const Submission& submission) { return execute(*this, *scratch, submission); };
  const StartedOn cpus(cpus_);  // the queue's thread works with the pool
  return std::shared_ptr<Queue>(std::make_shared<HostQueue>(run, shared_from_this()));
}

Claim CpuDevice::claim(const Segment& segment) const {
  if (host_.kernels) return host_.kernels->claim(segment, info_);
  Claim claim;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n)
    claim.declined.push_back({n, info_.id + " was opened without kernels"});
  return claim;
}

Result<std::shared_ptr<HostBuffer>> CpuDevice::hold(const LaunchPlan::Held& held, std::vector<Writing>& writings) {
  const Constant& first = held.sources.front();
  for (const Constant& c : held.sources)
    if (c.data.empty() && held.bytes != 0)
      return Error{Code::invalid_argument,
                   "constant " + std::to_string(c.value) + " (key " + std::to_string(c.key) + ") has no data"};
  constexpr std::size_t align = 32;  // what GGUF guarantees; kernels rely on no more for constants
  if (!held.pack && first.owner && reinterpret_cast<std::uintptr_t>(first.data.data()) % align == 0) {
    auto* data = const_cast<std::byte*>(first.data.data());  // a launch never writes a constant
    return HostBuffer::wrap(data, first.data.size(), this, first.owner);
  }
  HAL_TRY(BufferRef buffer, store_.get(held.key, held.layout, [&]() -> Result<BufferRef> {
    HAL_TRY(auto made, HostBuffer::make(held.bytes, "constant " + std::to_string(first.value), this, used_));
    writings.push_back({&held, made});
    return BufferRef(made);
  }));
  return std::static_pointer_cast<HostBuffer>(buffer);
}

// Packs on as many threads as the pool has. A source that is a file's map gives its pages back as soon as its copy is
// made, so a model is never in memory twice.
Status CpuDevice::write(std::span<const Writing> writings, const CompileOptions& options) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status status = ok();
  std::size_t done = 0;
  auto work = [&] {
    for (std::size_t i; (i = next.fetch_add(1)) < writings.size();) {
      const auto& [held, buffer] = writings[i];
      Status one = options.stop.stop_requested() ? Status(Error{Code::unavailable, "compile: stopped on request"})
                                                 : held->write({buffer->data(), static_cast<std::size_t>(held->bytes)});
      for (const Constant& c : held->sources)
        if (c.mapped_file) release_pages(c.data);
      std::lock_guard lock(mutex);
      if (!one && status) status = one;
      if (!status) return;
      if (options.progress) options.progress(static_cast<float>(++done) / static_cast<float>(writings.size()));
    }
  };
  std::vector<std::jthread> threads;
  for (int t = 1; t < pool_->threads(); ++t) threads.emplace_back(work);
  work();
  threads.clear();
  return status;
}

Result<ProgramRef> CpuDevice::compile(const Segment& segment, const CompileOptions& options) {
  if (!host_.kernels) return Error{Code::unsupported, "compile: " + info_.id + " was opened without kernels"};
  HAL_TRY(Lowered lowered, host_.kernels->lower(segment, info_));
  auto program = std::make_shared<CpuProgram>();
  HAL_TRY(program->plan, LaunchPlan::make(segment, std::move(lowered), info_.limits.align));
  {
    std::lock_guard lock(compiling_);  // another program must not share a copy that is still being written
    std::vector<Writing> writings;
    for (const LaunchPlan::Held& held : program->plan.constants) {
      HAL_TRY(auto buffer, hold(held, writings));
      program->constants.push_back(std::move(buffer));
    }
    HAL_CHECK(write(writings, options));
  }
  for (LaunchPlan::Held& held : program->plan.constants) {
    held.sources.clear();  // packed copies need their source no longer; a view keeps its owner itself
    held.pack = nullptr;
  }
  for (const Launch& l : program->plan.launches)
    program->thread_scratch = std::max<std::size_t>(program->thread_scratch, l.thread_scratch);
  HAL_CHECK(pool_->reserve(program->thread_scratch));
  return ProgramRef(program);
}

}  // namespace switchyard::backends::cpu
