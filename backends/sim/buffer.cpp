#include "backends/sim/buffer.h"

#include <cstring>
#include <new>

namespace switchyard::backends::sim {
namespace {
constexpr std::align_val_t alignment{64};
}

Result<BufferRef> SimBuffer::make(const StateRef& state, const BufferDesc& desc) {
  const Description& d = state->description;
  const std::int64_t nth = ++state->allocations;
  const Bytes used = state->used.fetch_add(desc.bytes) + desc.bytes;
  auto give_up = [&](Code code, const std::string& why) {
    state->used -= desc.bytes;
    return Error{code, d.info.id + ": " + (desc.label.empty() ? "a buffer" : desc.label) + " of " +
                           std::to_string(desc.bytes) + " bytes: " + why};
  };
  if (desc.bytes == 0) return give_up(Code::invalid_argument, "the size is 0");
  if (desc.bytes > d.info.limits.max_buffer)
    return give_up(Code::out_of_memory, "the largest buffer is " + std::to_string(d.info.limits.max_buffer) + " bytes");
  if (used > d.heap.budget)
    return give_up(Code::out_of_memory, "used " + std::to_string(used - desc.bytes) + " of a budget of " +
                                            std::to_string(d.heap.budget) + " bytes");
  if (d.faults.allocation_above && desc.bytes > d.faults.allocation_above)
    return give_up(Code::out_of_memory, "the description lets allocations above " +
                                            std::to_string(d.faults.allocation_above) + " bytes fail");
  if (nth == d.faults.allocation)
    return give_up(Code::out_of_memory, "the description lets allocation " + std::to_string(nth) + " fail");
  void* memory = ::operator new(desc.bytes, alignment, std::nothrow);
  if (!memory) return give_up(Code::out_of_memory, "the host has no memory for it");
  std::shared_ptr<SimBuffer> buffer(new SimBuffer(state, desc.bytes));
  buffer->data_ = static_cast<std::byte*>(memory);
  buffer->owned_ = true;
  buffer->mappable_ = desc.memory != Memory::device || d.heap.host_visible;
  std::memset(memory, 0xee, desc.bytes);  // device memory is not zero: what is not written must be seen
  return BufferRef(buffer);
}

Result<BufferRef> SimBuffer::adopt(const StateRef& state, const External& external) {
  if (external.type != Handle::host_pointer)
    return Error{Code::unsupported, state->description.info.id + ": adopts host pointers only"};
  std::shared_ptr<SimBuffer> buffer(new SimBuffer(state, external.bytes));
  buffer->data_ = reinterpret_cast<std::byte*>(external.value);
  return BufferRef(buffer);
}

SimBuffer::~SimBuffer() {
  if (!owned_) return;
  state_->used -= bytes_;
  ::operator delete(data_, alignment);
}

Result<std::span<std::byte>> SimBuffer::map() {
  if (!mappable_)
    return Error{Code::unsupported,
                 state_->description.info.id +
                     ": device memory is not host-visible; copy it to Memory::readback or Memory::upload"};
  return std::span<std::byte>(data_, bytes_);
}

Status SimBuffer::check(Bytes offset, Bytes size) const {
  if (offset <= bytes_ && size <= bytes_ - offset) return ok();
  return Error{Code::invalid_argument, state_->description.info.id + ": bytes " + std::to_string(offset) + " to " +
                                           std::to_string(offset + size) + " of a buffer of " + std::to_string(bytes_)};
}

Status SimBuffer::read(Bytes offset, std::span<std::byte> to) {
  HAL_CHECK(check(offset, to.size()));
  if (!to.empty()) std::memcpy(to.data(), data_ + offset, to.size());
  return ok();
}

Status SimBuffer::write(Bytes offset, std::span<const std::byte> from) {
  HAL_CHECK(check(offset, from.size()));
  if (!from.empty()) std::memcpy(data_ + offset, from.data(), from.size());
  return ok();
}

std::byte* host_bytes(const State& state, const Slice& slice) {
  if (!slice.buffer || slice.buffer->owner() != &state) return nullptr;
  return static_cast<SimBuffer&>(*slice.buffer).data() + slice.offset;
}

}  // namespace switchyard::backends::sim
