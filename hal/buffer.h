// Buffer: bytes on a device.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "hal/info.h"
#include "hal/result.h"

namespace switchyard::hal {

// device: fastest for kernels. upload/readback: host-visible, for the one direction. shared: both touch it often.
enum class Memory : std::uint8_t { device, upload, readback, shared };

struct BufferDesc {
  Bytes bytes = 0;
  Memory memory = Memory::device;
  std::string label = {};
};

enum class Handle : std::uint8_t { host_pointer, dma_buf_fd, opaque_fd, win32 };

// Memory owned by somebody else. It must outlive the buffer that adopts it.
struct External {
  Handle type = Handle::host_pointer;
  std::uint64_t value = 0;
  Bytes bytes = 0;
};

// Mapped memory is coherent and stays mapped until the buffer dies. All functions: any thread.
struct Buffer {
  virtual ~Buffer() = default;
  virtual Bytes bytes() const = 0;
  // The device this buffer was made by, as an identity only; never dereferenced.
  virtual const void* owner() const = 0;
  // Host view. Code::unsupported for Memory::device where the device's memory is not host-visible.
  virtual Result<std::span<std::byte>> map() = 0;
  // Synchronous host access to any kind of memory, outside every queue's order: the caller has waited for the work that
  // wrote the range. Ranges beyond bytes(): invalid_argument.
  virtual Status read(Bytes offset, std::span<std::byte> to) = 0;
  virtual Status write(Bytes offset, std::span<const std::byte> from) = 0;
  virtual Result<External> share(Handle) { return Error{Code::unsupported, "this buffer cannot be shared"}; }
};

using BufferRef = std::shared_ptr<Buffer>;

// A range of a buffer. bytes == 0 means: to the end.
struct Slice {
  BufferRef buffer;
  Bytes offset = 0, bytes = 0;
  Bytes size() const { return bytes != 0 || !buffer ? bytes : buffer->bytes() - offset; }
};

}  // namespace switchyard::hal
