#include "backends/remote/device.h"

#include <unistd.h>

namespace switchyard::backends::remote {

Result<DeviceRef> RemoteDevice::open(ConnectionRef connection, std::string_view id, const Host& host) {
  std::shared_ptr<RemoteDevice> device(new RemoteDevice(std::move(connection), host));
  Connection::CallOptions limited;
  limited.patience = device->connection()->options().patience;
  HAL_TRY(device->info_,
          device->connection()->call<Info>(Say::open, limited, {}, Open{std::string(id), device->handle_->id()}));
  device->info_.driver += own_process;
  return DeviceRef(device);
}

Result<std::vector<Heap>> RemoteDevice::heaps() const {
  return connection()->call<std::vector<Heap>>(Say::heaps, {}, {}, handle_->id());
}

Result<BufferRef> RemoteDevice::allocate(const BufferDesc& desc) { return RemoteBuffer::make(handle_, desc); }

Result<TimelineRef> RemoteDevice::create_timeline(std::uint64_t initial) {
  return RemoteTimeline::make(handle_, initial);
}

Result<std::shared_ptr<Queue>> RemoteDevice::create_queue(QueueKind kind) { return make_queue(handle_, kind); }

Claim RemoteDevice::claim(const Segment& segment) const {
  auto claim = connection()->call<Claim>(Say::claim, {}, {}, handle_->id(), segment);
  if (claim) return *claim;
  // A claim has no errors: what is asked of a lost device is answered here, and compile says that it is lost.
  if (host_.kernels) return host_.kernels->claim(segment, info_);
  Claim none;
  for (std::uint32_t n = 0; n < segment.nodes.size(); ++n) none.declined.push_back({n, describe(claim.error())});
  return none;
}

// The same number for the same bytes, so that programs share them in the host as they do here.
Id RemoteDevice::blob_of(const Constant& constant) {
  if (constant.data.empty()) return 0;
  if (constant.key == 0 || !constant.owner) return connection()->new_id();
  std::lock_guard lock(blobs_mutex_);
  std::erase_if(blobs_, [](const auto& known) { return known.second.owner.expired(); });
  Known& known = blobs_[{constant.key, constant.data.data(), constant.data.size()}];
  if (known.owner.owner_before(constant.owner) || constant.owner.owner_before(known.owner))
    known = {connection()->new_id(), constant.owner};
  return known.blob;
}

namespace {

// Finds or makes a file for each blob that is missing.
Result<std::vector<File>> give(const Segment& segment, std::span<const Id> missing, std::vector<Blob>& blobs) {
  std::vector<File> files;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> known;
  std::vector<std::size_t> copied;
  const auto page = static_cast<Bytes>(sysconf(_SC_PAGESIZE));
  Bytes room = 0;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    Blob& blob = blobs[i];
    if (std::find(missing.begin(), missing.end(), blob.blob) == missing.end()) continue;
    const Constant& c = segment.constants[i];
    auto range = c.mapped_file && files.size() + 1 < most_files ? file_behind(c.data) : std::nullopt;
    if (!range) {
      blob.mapped_file = false;
      blob.offset = room;
      room += (c.data.size() + page - 1) / page * page;
      copied.push_back(i);
      continue;
    }
    auto [at, is_new] = known.try_emplace({range->device, range->inode}, static_cast<std::uint32_t>(files.size()));
    if (is_new) files.push_back(std::move(range->file));
    blob.file = at->second;
    blob.offset = range->offset;
    blob.mapped_file = true;
  }
  if (copied.empty()) return files;
  HAL_TRY(File memory, memory_file("switchyard constants", room));
  HAL_CHECK(commit(memory, room));
  HAL_TRY(auto mapping, Mapping::of(memory, 0, room, Mapping::Use::shared));
  for (std::size_t i : copied) {
    blobs[i].file = static_cast<std::uint32_t>(files.size());
    std::memcpy(mapping->bytes().data() + blobs[i].offset, segment.constants[i].data.data(), blobs[i].bytes);
  }
  files.push_back(std::move(memory));
  return files;
}

}  // namespace

Result<ProgramRef> RemoteDevice::compile(const Segment& segment, const CompileOptions& options) {
  auto program = std::make_shared<RemoteProgram>(handle_);
  Compile request{handle_->id(), program->id(), segment, {}, options.cache_dir, options.progress != nullptr};
  for (const Constant& c : segment.constants) request.blobs.push_back({blob_of(c), c.data.size()});
  Connection::CallOptions call;
  call.progress = options.progress ? &options.progress : nullptr;
  call.stop = options.stop;
  // What the host has forgotten, it asks for. It may forget something between two questions, but not for ever.
  std::vector<File> files;
  std::vector<Id> missing;
  for (int attempt = 0; attempt < 8; ++attempt) {
    HAL_TRY(program->made, connection()->call<Compiled>(Say::compile, call, std::move(files), request));
    if (program->made.missing.empty()) return ProgramRef(program);
    missing.insert(missing.end(), program->made.missing.begin(), program->made.missing.end());
    HAL_TRY(files, give(segment, missing, request.blobs));
  }
  return Error{Code::internal, info_.id + ": the host process asks for the same constants again and again"};
}

Result<TimelineRef> RemoteTimeline::make(std::shared_ptr<Handle> device, std::uint64_t initial) {
  std::shared_ptr<RemoteTimeline> timeline(new RemoteTimeline(std::move(device), initial));
  HAL_CHECK(timeline->handle_.connection()->list(timeline->id(), timeline->here_));
  timeline->handle_.connection()->post(Say::timeline, Signal{timeline->id(), initial});
  return TimelineRef(timeline);
}

Status RemoteTimeline::signal(std::uint64_t value) {
  HAL_CHECK(here_->signal(value));
  handle_.connection()->post(Say::signal, Signal{id(), value});
  return ok();
}

void RemoteTimeline::fail(Error error) {
  handle_.connection()->post(Say::fail, id(), error);
  here_->fail(std::move(error));
}

}  // namespace switchyard::backends::remote
