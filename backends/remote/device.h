// The application's side of a device and of what it makes: each object is a number in the host.
#pragma once
#include "backends/remote/connection.h"
#include "hal/shared/host_queue.h"

namespace switchyard::backends::remote {

// Put behind Info::driver: a profile measured in this process is another one.
constexpr const char* own_process = ", in a process of its own";

// An object of the host, forgotten there with its owner.
class Handle {
 public:
  explicit Handle(ConnectionRef connection) : connection_(std::move(connection)), id_(connection_->new_id()) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { connection_->release(id_); }
  const ConnectionRef& connection() const { return connection_; }
  Id id() const { return id_; }

 private:
  ConnectionRef connection_;
  Id id_;
};

class RemoteDevice final : public Device {
 public:
  static Result<DeviceRef> open(ConnectionRef connection, std::string_view id, const Host& host);
  const Info& info() const override { return info_; }
  Result<std::vector<Heap>> heaps() const override;
  Path path(const Device& to) const override { return &to == this ? Path::shared : Path::staged; }
  Result<BufferRef> allocate(const BufferDesc& desc) override;
  Result<TimelineRef> create_timeline(std::uint64_t initial) override;
  Result<std::shared_ptr<Queue>> create_queue(QueueKind kind) override;
  Claim claim(const Segment& segment) const override;
  Result<ProgramRef> compile(const Segment& segment, const CompileOptions& options) override;

  const ConnectionRef& connection() const { return handle_->connection(); }

 private:
  // Bytes of constants that the host may still have, by what they are here.
  struct Known {
    Id blob;
    std::weak_ptr<const void> owner;
  };
  using BlobKey = std::tuple<std::uint64_t, const std::byte*, std::size_t>;
  RemoteDevice(ConnectionRef connection, const Host& host)
      : handle_(std::make_shared<Handle>(std::move(connection))), host_(host) {}
  Id blob_of(const Constant& constant);

  std::shared_ptr<Handle> handle_;  // what the device makes keeps it, so that the host closes the device last
  const Host host_;
  Info info_;
  std::mutex blobs_mutex_;
  std::map<BlobKey, Known> blobs_;
};

class RemoteBuffer final : public Buffer {
 public:
  static Result<BufferRef> make(std::shared_ptr<Handle> device, const BufferDesc& desc);
  Bytes bytes() const override { return bytes_; }
  const void* owner() const override { return device_.get(); }
  Result<std::span<std::byte>> map() override;
  Status read(Bytes offset, std::span<std::byte> to) override;
  Status write(Bytes offset, std::span<const std::byte> from) override;

  // As write and read, piece by piece, without a copy in between: `piece` fills, or takes, the bytes from `at` on.
  using Piece = std::function<Status(std::span<std::byte> bytes, Bytes at)>;
  Status write_by(Bytes offset, Bytes bytes, const Piece& piece);
  Status read_by(Bytes offset, Bytes bytes, const Piece& piece);
  const Connection* connection() const { return handle_.connection().get(); }
  Id id() const { return handle_.id(); }

 private:
  RemoteBuffer(std::shared_ptr<Handle> device, Bytes bytes)
      : device_(std::move(device)), handle_(device_->connection()), bytes_(bytes) {}
  Status check(const char* what, Bytes offset, Bytes bytes) const;
  Status through_region(Say say, Bytes offset, Bytes bytes, const Piece& piece);

  std::shared_ptr<Handle> device_;
  Handle handle_;
  Bytes bytes_;
  std::shared_ptr<const Mapping> shared_;  // null for Memory::device
};

class RemoteTimeline final : public Timeline {
 public:
  static Result<TimelineRef> make(std::shared_ptr<Handle> device, std::uint64_t initial);
  std::uint64_t value() const override { return here_->value(); }
  Status signal(std::uint64_t value) override;
  void fail(Error error) override;
  Status wait(std::uint64_t value, std::chrono::nanoseconds timeout) const override {
    return here_->wait(value, timeout);
  }

  HostTimeline& here() { return *here_; }  // changed by what the host has told, so without telling it
  const Connection* connection() const { return handle_.connection().get(); }
  Id id() const { return handle_.id(); }

 private:
  RemoteTimeline(std::shared_ptr<Handle> device, std::uint64_t initial)
      : device_(std::move(device)), handle_(device_->connection()), here_(std::make_shared<HostTimeline>(initial)) {}

  std::shared_ptr<Handle> device_;
  Handle handle_;
  std::shared_ptr<HostTimeline> here_;
};

class RemoteProgram final : public Program {
 public:
  explicit RemoteProgram(std::shared_ptr<Handle> device) : device_(std::move(device)), handle_(device_->connection()) {}
  Bytes resident() const override { return made.resident; }
  Bytes scratch() const override { return made.scratch; }
  const Connection* connection() const { return handle_.connection().get(); }
  Id id() const { return handle_.id(); }

  Compiled made;

 private:
  std::shared_ptr<Handle> device_;
  Handle handle_;
};

Result<std::shared_ptr<Queue>> make_queue(const std::shared_ptr<Handle>& device, QueueKind kind);

}  // namespace switchyard::backends::remote
