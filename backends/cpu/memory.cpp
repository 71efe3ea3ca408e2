#include "backends/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>

#include "backends/cpu/topology.h"

namespace switchyard::backends::cpu {
namespace {

constexpr hal::Bytes page = 4096, huge_page = 2 << 20;
constexpr hal::Bytes worth_a_check = 1 << 20;  // reading the live budget takes some 50 microseconds

hal::Status inside(const char* what, hal::Bytes offset, std::size_t size, hal::Bytes bytes) {
  if (offset > bytes || size > bytes - offset)
    return hal::Error{hal::Code::invalid_argument, std::string(what) + ": [" + std::to_string(offset) + ", +" +
                                                       std::to_string(size) + ") of a buffer of " +
                                                       std::to_string(bytes) + " bytes"};
  return hal::ok();
}

double seconds_to_touch(std::byte* from, hal::Bytes bytes, hal::Bytes step) {
  const auto begin = std::chrono::steady_clock::now();
  for (hal::Bytes at = 0; at < bytes; at += step) static_cast<volatile std::byte*>(from)[at] = std::byte{0};
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Huge pages save address look-ups. Where a virtual machine's host has to find 2 MiB for each of them they come several
// times slower than small ones, byte for byte, and loading a model takes three times as long. What was used before and
// given back comes fast, so one trial tells little: the begin of a mapping is one again and again, rarely while they
// are slow.
class HugePages {
 public:
  void ask_for(std::byte* mapped, hal::Bytes bytes) {
    const std::lock_guard lock(mutex_);
    hal::Bytes touched = 0;
    if (bytes >= tried && until_trial_ <= 0) {
      madvise(mapped, tried, MADV_HUGEPAGE);
      wanted_ = seconds_to_touch(mapped, tried, huge_page) <= 2 * small_seconds();
      until_trial_ = static_cast<std::int64_t>((wanted_ ? 8 : 64) * tried);
      touched = tried;
    }
    until_trial_ -= static_cast<std::int64_t>(bytes);
    if (bytes > touched) madvise(mapped + touched, bytes - touched, wanted_ ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  }

 private:
  static constexpr hal::Bytes tried = 4 * huge_page;

  static double small_seconds() {  // of as many bytes in small pages
    static const double seconds = [] {
      void* p = mmap(nullptr, tried, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (p == MAP_FAILED) return 0.0;
      madvise(p, tried, MADV_NOHUGEPAGE);
      const double taken = seconds_to_touch(static_cast<std::byte*>(p), tried, page);
      munmap(p, tried);
      return taken;
    }();
    return seconds;
  }

  std::mutex mutex_;
  bool wanted_ = true;
  std::int64_t until_trial_ = 0;  // bytes
};

}  // namespace

void release_pages(std::span<const std::byte> mapped) {
  const auto begin = (reinterpret_cast<std::uintptr_t>(mapped.data()) + page - 1) / page * page,
             end = (reinterpret_cast<std::uintptr_t>(mapped.data()) + mapped.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

hal::Result<std::shared_ptr<HostBuffer>> HostBuffer::make(hal::Bytes bytes, const std::string& label, const void* owner,
                                                          std::shared_ptr<std::atomic<hal::Bytes>> used) {
  auto refuse = [&](const char* why) {
    const hal::Heap heap = read_memory(used->load());
    return hal::Error{hal::Code::out_of_memory,
                      (label.empty() ? "buffer" : label) + ": asked " + std::to_string(bytes) + " bytes, used " +
                          std::to_string(heap.used) + ", budget " + std::to_string(heap.budget) + " of " +
                          std::to_string(heap.total) + " bytes on cpu:0 (" + why + ")"};
  };
  if (bytes >= worth_a_check && bytes > read_memory(0).budget) return refuse("over the budget");
  const hal::Bytes unit = bytes >= huge_page ? huge_page : page;
  const hal::Bytes mapped = (std::max<hal::Bytes>(bytes, 1) + unit - 1) / unit * unit;
  void* p = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return refuse("the system refused");
  static HugePages huge_pages;
  if (unit == huge_page) huge_pages.ask_for(static_cast<std::byte*>(p), mapped);
  auto buffer = std::shared_ptr<HostBuffer>(new HostBuffer);
  buffer->data_ = static_cast<std::byte*>(p);
  buffer->bytes_ = bytes;
  buffer->mapped_ = mapped;
  buffer->owner_ = owner;
  buffer->used_ = std::move(used);
  *buffer->used_ += mapped;
  return buffer;
}

std::shared_ptr<HostBuffer> HostBuffer::wrap(std::byte* data, hal::Bytes bytes, const void* owner,
                                             std::shared_ptr<const void> keep) {
  auto buffer = std::shared_ptr<HostBuffer>(new HostBuffer);
  buffer->data_ = data;
  buffer->bytes_ = bytes;
  buffer->owner_ = owner;
  buffer->keep_ = std::move(keep);
  return buffer;
}

HostBuffer::~HostBuffer() {
  if (mapped_ == 0) return;
  munmap(data_, mapped_);
  *used_ -= mapped_;
}

hal::Status HostBuffer::read(hal::Bytes offset, std::span<std::byte> to) {
  HAL_CHECK(inside("read", offset, to.size(), bytes_));
  if (!to.empty()) std::memcpy(to.data(), data_ + offset, to.size());
  return hal::ok();
}

hal::Status HostBuffer::write(hal::Bytes offset, std::span<const std::byte> from) {
  HAL_CHECK(inside("write", offset, from.size(), bytes_));
  if (!from.empty()) std::memcpy(data_ + offset, from.data(), from.size());
  return hal::ok();
}

hal::Result<hal::External> HostBuffer::share(hal::Handle handle) {
  if (handle != hal::Handle::host_pointer)
    return hal::Error{hal::Code::unsupported, "share: cpu:0 shares host pointers only"};
  return hal::External{handle, reinterpret_cast<std::uint64_t>(data_), bytes_};
}

}  // namespace switchyard::backends::cpu
