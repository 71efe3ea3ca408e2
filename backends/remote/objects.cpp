#include "backends/remote/objects.h"

namespace switchyard::backends::remote {
namespace {

Status inside(const char* what, Bytes offset, Bytes size, Bytes bytes) {
  if (offset <= bytes && size <= bytes - offset) return ok();
  return Error{Code::invalid_argument, std::string(what) + ": [" + std::to_string(offset) + ", +" +
                                           std::to_string(size) + ") of a buffer of " + std::to_string(bytes) +
                                           " bytes"};
}

}  // namespace

Status SharedBuffer::read(Bytes offset, std::span<std::byte> to) {
  HAL_CHECK(inside("read", offset, to.size(), bytes()));
  if (!to.empty()) std::memcpy(to.data(), mapping_->bytes().data() + offset, to.size());
  return ok();
}

Status SharedBuffer::write(Bytes offset, std::span<const std::byte> from) {
  HAL_CHECK(inside("write", offset, from.size(), bytes()));
  if (!from.empty()) std::memcpy(mapping_->bytes().data() + offset, from.data(), from.size());
  return ok();
}

void Objects::put(Id id, Object object) {
  std::lock_guard lock(mutex_);
  objects_.insert_or_assign(id, std::move(object));
}

void Objects::drop(Id id) {
  Object dropped;  // without the lock: a driver may take its time
  std::lock_guard lock(mutex_);
  auto found = objects_.find(id);
  if (found == objects_.end()) return;
  dropped = std::move(found->second);
  objects_.erase(found);
}

void Objects::clear() {
  std::vector<Object> queues, rest, devices;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, object] : objects_)
      (std::holds_alternative<HeldQueue>(object)   ? queues
       : std::holds_alternative<DeviceRef>(object) ? devices
                                                   : rest)
          .push_back(std::move(object));
    objects_.clear();
  }
  queues.clear();
  rest.clear();
}

}  // namespace switchyard::backends::remote
