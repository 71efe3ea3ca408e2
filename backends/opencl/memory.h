// Buffers. Host-visible kinds keep a copy in host memory that a run's slices are brought up to date from and written
// back to: OpenCL 1.2 has no memory that may stay mapped while kernels use it.
#pragma once
#include <map>

#include "backends/opencl/device.h"

namespace switchyard::backends::opencl {

// A cl_mem over a range of a buffer. Kernel arguments do not keep it alive; whoever enqueues does.
class View {
 public:
  View(const Symbols& cl, cl_mem memory) : cl_(cl), memory_(memory) {}
  ~View() { cl_.clReleaseMemObject(memory_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  cl_mem memory() const { return memory_; }

 private:
  const Symbols& cl_;
  cl_mem memory_;
};
using ViewRef = std::shared_ptr<const View>;

class Buffer final : public hal::Buffer {
 public:
  static hal::Result<hal::BufferRef> make(std::shared_ptr<Device> device, const hal::BufferDesc& desc);
  ~Buffer() override;

  hal::Bytes bytes() const override { return bytes_; }
  const void* owner() const override { return device_->identity(); }
  hal::Result<std::span<std::byte>> map() override;
  hal::Status read(hal::Bytes offset, std::span<std::byte> to) override;
  hal::Status write(hal::Bytes offset, std::span<const std::byte> from) override;

  // The range as an argument of a kernel; equal ranges give the same view while somebody holds it or the cache does.
  // invalid_argument for an offset that is no multiple of Limits::align.
  hal::Result<ViewRef> view(hal::Bytes offset, hal::Bytes bytes);
  cl_mem memory() const { return whole_->memory(); }
  std::byte* host() const { return host_.get(); }  // null: Memory::device

 private:
  Buffer(std::shared_ptr<Device> device, hal::Bytes bytes) : device_(std::move(device)), bytes_(bytes) {}
  hal::Status in_range(const char* what, hal::Bytes offset, hal::Bytes size) const;

  std::shared_ptr<Device> device_;
  hal::Bytes bytes_;
  hal::Bytes taken_ = 0;
  ViewRef whole_;
  std::unique_ptr<std::byte[]> host_;
  std::mutex mutex_;
  std::map<std::pair<hal::Bytes, hal::Bytes>, ViewRef> views_;
};

// The slice's buffer, if this device made it; else invalid_argument.
hal::Result<Buffer*> own(const Device& device, const hal::Slice& slice);

}  // namespace switchyard::backends::opencl
