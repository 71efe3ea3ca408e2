// The processor as a Device: buffers are host memory, programs are lists of function calls run by a pool of threads.
#pragma once
#include <mutex>

#include "backends/cpu/memory.h"
#include "backends/cpu/pool.h"
#include "backends/cpu/topology.h"
#include "hal/backend.h"
#include "hal/shared/launch_plan.h"

namespace switchyard::backends::cpu {

// What discover() found, and what open() builds on.
struct Found {
  hal::Info info;
  Topology topology;
  int threads = 1;
};
hal::Result<Found> find();

class CpuProgram final : public hal::Program {
 public:
  hal::Bytes resident() const override { return plan.resident; }
  hal::Bytes scratch() const override { return plan.scratch; }

  hal::LaunchPlan plan;
  std::vector<std::shared_ptr<HostBuffer>> constants;  // one per plan.constants
  std::size_t thread_scratch = 0;
};

class CpuDevice final : public hal::Device, public std::enable_shared_from_this<CpuDevice> {
 public:
  CpuDevice(Found found, const hal::Host& host);
  const hal::Info& info() const override { return info_; }
  hal::Result<std::vector<hal::Heap>> heaps() const override;
  hal::Path path(const hal::Device& to) const override;
  hal::Result<hal::BufferRef> allocate(const hal::BufferDesc& desc) override;
  hal::Result<hal::BufferRef> adopt(const hal::External& external) override;
  hal::Result<hal::TimelineRef> create_timeline(std::uint64_t initial) override;
  hal::Result<std::shared_ptr<hal::Queue>> create_queue(hal::QueueKind kind) override;
  hal::Claim claim(const hal::Segment& segment) const override;
  hal::Result<hal::ProgramRef> compile(const hal::Segment& segment, const hal::CompileOptions& options) override;

  Pool& pool() { return *pool_; }

 private:
  struct Writing {  // a copy that is still to be made
    const hal::LaunchPlan::Held* held;
    std::shared_ptr<HostBuffer> buffer;
  };
  hal::Result<std::shared_ptr<HostBuffer>> hold(const hal::LaunchPlan::Held& held, std::vector<Writing>& writings);
  hal::Status write(std::span<const Writing> writings, const hal::CompileOptions& options);

  hal::Info info_;
  hal::Host host_;
  std::shared_ptr<std::atomic<hal::Bytes>> used_ = std::make_shared<std::atomic<hal::Bytes>>(0);
  hal::ConstantStore store_;
  std::mutex compiling_;
  std::vector<int> cpus_;  // that threads stay on; empty: wherever they may
  std::unique_ptr<Pool> pool_;
};

// Runs one submission's commands; scratch belongs to the calling queue.
hal::Status execute(CpuDevice& device, Scratch& scratch, const hal::Submission& submission);

}  // namespace switchyard::backends::cpu
