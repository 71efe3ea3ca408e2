#include "backends/opencl/memory.h"

#include <algorithm>

namespace switchyard::backends::opencl {

using namespace hal;

namespace {
constexpr std::size_t max_views = 1024;  // of one buffer; then the cache starts anew
}

Result<BufferRef> Buffer::make(std::shared_ptr<Device> device, const BufferDesc& desc) {
  const Symbols& cl = device->cl;
  const Bytes bytes = std::max<Bytes>((desc.bytes + 3) / 4 * 4, 4);
  HAL_CHECK(device->take(bytes, desc.label));
  std::shared_ptr<Buffer> buffer(new Buffer(device, desc.bytes));
  buffer->taken_ = bytes;
  cl_int code = CL_SUCCESS;
  cl_mem memory = cl.clCreateBuffer(device->context(), CL_MEM_READ_WRITE, bytes, nullptr, &code);
  if (code != CL_SUCCESS) {
    Error error = error_of("cl.clCreateBuffer", code);
    auto heap = device->heaps().value().front();
    error.message = device->info().id + ": asked " + std::to_string(bytes) + " bytes for " +
                    (desc.label.empty() ? "a buffer" : desc.label) + ", used " + std::to_string(heap.used - bytes) +
                    ", budget " + std::to_string(heap.budget + bytes) + ": " + error.message;
    return error;
  }
  buffer->whole_ = std::make_shared<View>(cl, memory);
  if (desc.memory != Memory::device) buffer->host_ = std::make_unique<std::byte[]>(bytes);
  return BufferRef(buffer);
}

Buffer::~Buffer() {
  views_.clear();
  whole_.reset();
  device_->give_back(taken_);
}

Status Buffer::in_range(const char* what, Bytes offset, Bytes size) const {
  if (offset <= bytes_ && size <= bytes_ - offset) return ok();
  return Error{Code::invalid_argument, std::string(what) + ": bytes " + std::to_string(offset) + " to " +
                                           std::to_string(offset + size) + " of a buffer of " + std::to_string(bytes_)};
}

Result<std::span<std::byte>> Buffer::map() {
  if (!host_) return Error{Code::unsupported, "map: Memory::device of " + device_->info().id + " is not host-visible"};
  return std::span(host_.get(), bytes_);
}

Status Buffer::read(Bytes offset, std::span<std::byte> to) {
  HAL_CHECK(in_range("read", offset, to.size()));
  if (to.empty()) return ok();
  if (host_) {
    std::memcpy(to.data(), host_.get() + offset, to.size());
    return ok();
  }
  const Symbols& cl = device_->cl;
  OPENCL_CHECK(cl.clEnqueueReadBuffer(device_->transfers(), memory(), CL_FALSE, offset, to.size(), to.data(), 0,
                                      nullptr, nullptr));
  OPENCL_CHECK(cl.clFinish(device_->transfers()));
  return ok();
}

Status Buffer::write(Bytes offset, std::span<const std::byte> from) {
  HAL_CHECK(in_range("write", offset, from.size()));
  if (from.empty()) return ok();
  if (host_) {
    std::memcpy(host_.get() + offset, from.data(), from.size());
    return ok();
  }
  const Symbols& cl = device_->cl;
  // Not CL_TRUE: one driver (Intel's for processors, 2026.22) returns from a blocking write before other queues see the
  // bytes.
  OPENCL_CHECK(cl.clEnqueueWriteBuffer(device_->transfers(), memory(), CL_FALSE, offset, from.size(), from.data(), 0,
                                       nullptr, nullptr));
  OPENCL_CHECK(cl.clFinish(device_->transfers()));
  return ok();
}

Result<ViewRef> Buffer::view(Bytes offset, Bytes size) {
  HAL_CHECK(in_range("slice", offset, size));
  if (offset == 0 && size == bytes_) return whole_;
  const Bytes align = device_->info().limits.align;
  if (offset % align != 0)
    return Error{Code::invalid_argument, "slice: offset " + std::to_string(offset) + " is no multiple of " +
                                             std::to_string(align) + ", which " + device_->info().id + " needs"};
  std::lock_guard lock(mutex_);
  if (views_.size() >= max_views) views_.clear();
  ViewRef& view = views_[{offset, size}];
  if (!view) {
    cl_buffer_region region{offset, size};
    cl_int code = CL_SUCCESS;
    const Symbols& cl = device_->cl;
    cl_mem part = cl.clCreateSubBuffer(memory(), CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) {
      views_.erase({offset, size});
      return error_of("cl.clCreateSubBuffer", code);
    }
    view = std::make_shared<View>(cl, part);
  }
  return view;
}

Result<Buffer*> own(const Device& device, const Slice& slice) {
  if (slice.buffer && slice.buffer->owner() == device.identity()) return static_cast<Buffer*>(slice.buffer.get());
  return Error{Code::invalid_argument,
               slice.buffer ? "a slice of another device's buffer on " + device.info().id : "a slice without a buffer"};
}

}  // namespace switchyard::backends::opencl
