// Host memory as a Buffer.
#pragma once
#include <atomic>
#include <memory>

#include "hal/buffer.h"

namespace switchyard::backends::cpu {

// Takes the whole pages of a file's read-only map out of this process; they are read again when they are touched.
void release_pages(std::span<const std::byte> mapped);

class HostBuffer final : public hal::Buffer {
 public:
  // 64-byte aligned, zeroed. out_of_memory gives asked, used and budget. `used` counts what all buffers of a device
  // hold.
  static hal::Result<std::shared_ptr<HostBuffer>> make(hal::Bytes bytes, const std::string& label, const void* owner,
                                                       std::shared_ptr<std::atomic<hal::Bytes>> used);
  // Memory of somebody else, kept alive by `keep` (may be null).
  static std::shared_ptr<HostBuffer> wrap(std::byte* data, hal::Bytes bytes, const void* owner,
                                          std::shared_ptr<const void> keep);
  ~HostBuffer() override;

  hal::Bytes bytes() const override { return bytes_; }
  const void* owner() const override { return owner_; }
  hal::Result<std::span<std::byte>> map() override { return std::span(data_, static_cast<std::size_t>(bytes_)); }
  hal::Status read(hal::Bytes offset, std::span<std::byte> to) override;
  hal::Status write(hal::Bytes offset, std::span<const std::byte> from) override;
  hal::Result<hal::External> share(hal::Handle handle) override;
  std::byte* data() const { return data_; }

 private:
  HostBuffer() = default;
  std::byte* data_ = nullptr;
  hal::Bytes bytes_ = 0, mapped_ = 0;  // mapped_: 0 for memory of somebody else
  const void* owner_ = nullptr;
  std::shared_ptr<const void> keep_;
  std::shared_ptr<std::atomic<hal::Bytes>> used_;
};

}  // namespace switchyard::backends::cpu
