// The device: hands memory, timelines, queues and programs out; all the vendor part of a backend is in these few files.
#pragma once
#include "backends/sim/program.h"
#include "hal/backend.h"

namespace switchyard::backends::sim {

class SimDevice final : public Device {
 public:
  SimDevice(Description description, const Host& host);
  const Info& info() const override { return state_->description.info; }
  Result<std::vector<Heap>> heaps() const override;
  Path path(const Device& to) const override;
  Result<BufferRef> allocate(const BufferDesc& desc) override;
  Result<BufferRef> adopt(const External& external) override { return SimBuffer::adopt(state_, external); }
  Result<TimelineRef> create_timeline(std::uint64_t initial) override;
  Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) override;
  Claim claim(const Segment& segment) const override;
  Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) override;

 private:
  StateRef state_;
  Host host_;
  ConstantStore constants_;
};

// queue.cpp: the commands of one submission, whose waits are over.
Status execute(State& state, const Submission& submission);

}  // namespace switchyard::backends::sim
