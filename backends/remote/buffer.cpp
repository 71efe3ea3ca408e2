#include "backends/remote/device.h"

namespace switchyard::backends::remote {

Result<BufferRef> RemoteBuffer::make(std::shared_ptr<Handle> device, const BufferDesc& desc) {
  std::shared_ptr<RemoteBuffer> buffer(new RemoteBuffer(std::move(device), desc.bytes));
  const ConnectionRef& connection = buffer->handle_.connection();
  const Allocate request{buffer->device_->id(), buffer->id(), desc.bytes, desc.memory, desc.label};
  std::vector<File> files;
  if (desc.memory != Memory::device) {
    HAL_TRY(File file, memory_file("switchyard buffer", desc.bytes));
    HAL_TRY(buffer->shared_, Mapping::of(file, 0, desc.bytes, Mapping::Use::shared));
    files.push_back(std::move(file));
  }
  HAL_TRY(auto done, connection->wait(*connection->begin(Say::allocate, encode(request), std::move(files)), {}));
  return BufferRef(buffer);
}

Status RemoteBuffer::check(const char* what, Bytes offset, Bytes bytes) const {
  if (offset > bytes_ || bytes > bytes_ - offset)
    return Error{Code::invalid_argument, std::string(what) + ": [" + std::to_string(offset) + ", +" +
                                             std::to_string(bytes) + ") of a buffer of " + std::to_string(bytes_) +
                                             " bytes"};
  if (auto lost = handle_.connection()->lost()) return *lost;
  return ok();
}

Result<std::span<std::byte>> RemoteBuffer::map() {
  if (!shared_) return Error{Code::unsupported, "map: Memory::device of a process of its own; use read and write"};
  HAL_CHECK(check("map", 0, 0));
  return shared_->bytes();
}

Status RemoteBuffer::read(Bytes offset, std::span<std::byte> to) {
  return read_by(offset, to.size(), [&](std::span<std::byte> bytes, Bytes at) {
    std::memcpy(to.data() + at, bytes.data(), bytes.size());
    return ok();
  });
}

Status RemoteBuffer::write(Bytes offset, std::span<const std::byte> from) {
  return write_by(offset, from.size(), [&](std::span<std::byte> bytes, Bytes at) {
    std::memcpy(bytes.data(), from.data() + at, bytes.size());
    return ok();
  });
}

Status RemoteBuffer::write_by(Bytes offset, Bytes bytes, const Piece& piece) {
  HAL_CHECK(check("write", offset, bytes));
  if (bytes == 0) return ok();
  return shared_ ? piece(shared_->bytes().subspan(offset, bytes), 0) : through_region(Say::write, offset, bytes, piece);
}

Status RemoteBuffer::read_by(Bytes offset, Bytes bytes, const Piece& piece) {
  HAL_CHECK(check("read", offset, bytes));
  if (bytes == 0) return ok();
  return shared_ ? piece(shared_->bytes().subspan(offset, bytes), 0) : through_region(Say::read, offset, bytes, piece);
}

// While the host moves one piece, this side copies another.
Status RemoteBuffer::through_region(Say say, Bytes offset, Bytes bytes, const Piece& piece) {
  struct Moving {
    std::shared_ptr<Connection::Call> call;
    std::size_t slot;
    Bytes at, bytes;
  };
  const ConnectionRef& connection = handle_.connection();
  std::vector<Slot> slots{connection->take_slot()};
  if (bytes > slots[0].bytes.size())
    if (auto another = connection->take_another_slot()) slots.push_back(*another);
  std::deque<Moving> moving;
  Status status = ok();
  auto finish = [&] {
    const Moving m = std::move(moving.front());
    moving.pop_front();
    auto answer = connection->wait(*m.call, {});
    if (!status) return;
    if (!answer)
      status = answer.error();
    else if (say == Say::read)
      status = piece(slots[m.slot].bytes.first(m.bytes), m.at);
  };
  std::size_t next = 0;
  for (Bytes at = 0; at < bytes && status;) {
    if (moving.size() == slots.size()) finish();
    if (!status) break;
    const Bytes n = std::min<Bytes>(slots[next].bytes.size(), bytes - at);
    if (say == Say::write) status = piece(slots[next].bytes.first(n), at);
    if (!status) break;
    moving.push_back({connection->begin(say, encode(Move{id(), offset + at, n, slots[next].at})), next, at, n});
    at += n;
    next = (next + 1) % slots.size();
  }
  while (!moving.empty()) finish();
  for (const Slot& slot : slots) connection->give_slot(slot);
  return status;
}

}  // namespace switchyard::backends::remote
