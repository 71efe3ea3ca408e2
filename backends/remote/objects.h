// What the host holds for the application, by the numbers the application gave.
#pragma once
#include <unordered_map>
#include <variant>

#include "backends/remote/shared_memory.h"
#include "hal/program.h"
#include "hal/shared/host_timeline.h"

namespace switchyard::backends::remote {

// Memory that the application sees, on a device that cannot use it where it is: a buffer of nobody's, which queues copy
// from and to as if it lay on another device.
class SharedBuffer final : public Buffer {
 public:
  explicit SharedBuffer(std::shared_ptr<const Mapping> mapping) : mapping_(std::move(mapping)) {}
  Bytes bytes() const override { return mapping_->bytes().size(); }
  const void* owner() const override { return mapping_.get(); }
  Result<std::span<std::byte>> map() override { return mapping_->bytes(); }
  Status read(Bytes offset, std::span<std::byte> to) override;
  Status write(Bytes offset, std::span<const std::byte> from) override;

 private:
  std::shared_ptr<const Mapping> mapping_;
};

// The host's copy of a timeline. The application's signals and the queues' cross on their way: what is late is no news.
class HeldTimeline final : public Timeline {
 public:
  explicit HeldTimeline(std::uint64_t initial) : inner_(initial) {}
  std::uint64_t value() const override { return inner_.value(); }
  Status signal(std::uint64_t value) override {
    (void)inner_.signal(value);
    return ok();
  }
  void fail(Error error) override { inner_.fail(std::move(error)); }
  Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const override {
    return inner_.wait(value, timeout);
  }

 private:
  HostTimeline inner_;
};

struct HeldBuffer {
  DeviceRef device;
  std::shared_ptr<const Mapping> mapping;  // an adopted buffer's memory
  BufferRef buffer;
  std::shared_ptr<BufferRef> copy;      // of a SharedBuffer, on the device: made when a command needs it. One thread
  std::shared_ptr<const void> counted;  // in what the device is said to use, where the device does not count it itself
};
struct HeldProgram {
  ProgramRef program;
  std::size_t inputs = 0;  // the first slices of a run, which are only read
};
struct HeldQueue {
  DeviceRef device;
  std::shared_ptr<Queue> queue;
};

// Any thread.
class Objects {
 public:
  using Object = std::variant<DeviceRef, HeldBuffer, HeldProgram, HeldQueue, std::shared_ptr<HeldTimeline>>;
  void put(Id id, Object object);
  void drop(Id id);
  void clear();  // queues first, devices last
  template <class T>
  Result<T> get(Id id) const {
    std::lock_guard lock(mutex_);
    auto found = objects_.find(id);
    if (found != objects_.end())
      if (auto* object = std::get_if<T>(&found->second)) return *object;
    return Error{Code::internal, "host process: object " + std::to_string(id) + " is not there or not of that sort"};
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<Id, Object> objects_;
};

}  // namespace switchyard::backends::remote
