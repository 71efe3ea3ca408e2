// Host memory that pretends to be a device's: counted against the described heap, mappable only where the file says so.
#pragma once
#include <atomic>

#include "backends/sim/description.h"
#include "hal/buffer.h"

namespace switchyard::backends::sim {

// Shared by a device, its buffers, queues and programs, so that each may outlive the others.
struct State {
  Description description;
  std::atomic<Bytes> used{0};
  std::atomic<std::int64_t> allocations{0}, submissions{0};
  std::atomic<std::int64_t> clock_ns{0};  // logical clock: when the device is free again
  std::atomic<bool> lost{false};
  const Description* operator->() const { return &description; }
};
using StateRef = std::shared_ptr<State>;

class SimBuffer final : public Buffer {
 public:
  // out_of_memory with asked, used and budget.
  static Result<BufferRef> make(const StateRef& state, const BufferDesc& desc);
  // Memory of the caller.
  static Result<BufferRef> adopt(const StateRef& state, const External& external);
  ~SimBuffer() override;
  SimBuffer(const SimBuffer&) = delete;
  SimBuffer& operator=(const SimBuffer&) = delete;
  Bytes bytes() const override { return bytes_; }
  const void* owner() const override { return state_.get(); }
  Result<std::span<std::byte>> map() override;
  Status read(Bytes offset, std::span<std::byte> to) override;
  Status write(Bytes offset, std::span<const std::byte> from) override;
  std::byte* data() { return data_; }

 private:
  SimBuffer(StateRef state, Bytes bytes) : state_(std::move(state)), bytes_(bytes) {}
  Status check(Bytes offset, Bytes size) const;

  StateRef state_;
  Bytes bytes_;
  std::byte* data_ = nullptr;
  bool owned_ = false, mappable_ = true;
};

// The bytes of a slice of one of this device's buffers; null for another device's.
std::byte* host_bytes(const State& state, const Slice& slice);

}  // namespace switchyard::backends::sim
