#include "backends/remote/host.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

namespace switchyard::backends::remote {
namespace {

constexpr unsigned seconds_to_close = 5;

template <class T>
std::string answered(const Result<T>& result) {
  if (!result) return answer_error(result.error());
  if constexpr (std::is_same_v<T, std::monostate>)
    return answer();
  else
    return answer(*result);
}

const Error garbled{Code::internal, "host process: a request is cut short"};

}  // namespace

void serve(int fd, Backend& backend, const Host& host, const Fault& fault) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);  // what a driver starts must not keep it open
  auto channel = Channel::open(File(fd));
  if (!channel) return;
  HostSide side(std::move(*channel), backend, host, fault);
  side.run();
}

void HostSide::run() {
  worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  constexpr std::chrono::hours long_time{1};
  while (channel_->pump(long_time, -1, [this](Message m) { return take(std::move(m)); }) == Channel::State::open) {
  }
  alarm(seconds_to_close);  // a driver that does not let go is ended
  std::map<std::uint64_t, std::jthread> aside;
  {
    std::lock_guard lock(calls_mutex_);
    aside.swap(aside_);
  }
  aside.clear();
  worker_ = {};
  objects_.clear();
}

// What a test wants to go wrong.
void HostSide::maybe(Fault::At at) {
  if (at != fault_.at || ++counts_[static_cast<std::size_t>(at)] != fault_.nth) return;
  switch (fault_.what) {
    case Fault::Do::exit: syscall(SYS_exit_group, 3); break;  // no exit handlers
    case Fault::Do::hang:
      for (;;) pause();
    case Fault::Do::crash:
      std::signal(SIGSEGV, SIG_DFL);  // also where a sanitizer has one of its own
      (void)raise(SIGSEGV);
  }
}

bool HostSide::take(Message message) {
  const std::uint64_t number = message.header.number;
  switch (message.header.say) {
    case Say::timeline: {
      Signal s;
      if (!decode(message.bytes, s)) return false;
      objects_.put(s.timeline, std::make_shared<HeldTimeline>(s.value));
      return true;
    }
    case Say::signal: {
      Signal s;
      if (!decode(message.bytes, s)) return false;
      if (auto timeline = objects_.get<std::shared_ptr<HeldTimeline>>(s.timeline)) (void)(*timeline)->signal(s.value);
      return true;
    }
    case Say::fail: {
      Id id = 0;
      Error error{};
      if (!decode(message.bytes, id, error)) return false;
      if (auto timeline = objects_.get<std::shared_ptr<HeldTimeline>>(id)) (*timeline)->fail(std::move(error));
      return true;
    }
    case Say::submit: {
      Submit s;
      if (!decode(message.bytes, s)) return false;
      submit(number, s);
      return true;
    }
    case Say::release: {
      Id id = 0;
      if (!decode(message.bytes, id)) return false;
      objects_.drop(id);
      return true;
    }
    case Say::cancel: {
      std::lock_guard lock(calls_mutex_);
      if (auto call = aside_.find(number); call != aside_.end()) call->second.request_stop();
      return true;
    }
    case Say::discover:
    case Say::open:
    case Say::compile: {
      auto shared = std::make_shared<Message>(std::move(message));
      aside(number, [this, shared](const std::stop_token& stop) { reply(shared->header.number, call(*shared, stop)); });
      return true;
    }
    case Say::hello:
    case Say::heaps:
    case Say::allocate:
    case Say::read:
    case Say::write:
    case Say::queue:
    case Say::claim:
    case Say::ping: {
      auto shared = std::make_shared<Message>(std::move(message));
      {
        std::lock_guard lock(calls_mutex_);
        calls_.emplace_back([this, shared] { reply(shared->header.number, call(*shared, {})); });
      }
      arrived_.notify_one();
      return true;
    }
    case Say::reply:
    case Say::progress:
    case Say::done: return false;
  }
  return false;
}

void HostSide::work(const std::stop_token& stop) {
  for (;;) {
    std::function<void()> next;
    {
      std::unique_lock lock(calls_mutex_);
      arrived_.wait(lock, stop, [&] { return !calls_.empty(); });
      if (calls_.empty()) return;
      next = std::move(calls_.front());
      calls_.pop_front();
    }
    next();
  }
}

void HostSide::aside(std::uint64_t number, std::function<void(std::stop_token)> call) {
  std::lock_guard lock(calls_mutex_);
  for (std::uint64_t done : std::exchange(aside_done_, {})) aside_.erase(done);
  aside_.emplace(number, std::jthread([this, number, call = std::move(call)](const std::stop_token& stop) {
                   call(stop);
                   std::lock_guard done(calls_mutex_);
                   aside_done_.push_back(number);
                 }));
}

std::string HostSide::call(Message& message, const std::stop_token& stop) {
  auto with = [&](auto request, auto&& call) {
    return decode(message.bytes, request) ? answered(call(request)) : answer_error(garbled);
  };
  switch (message.header.say) {
    case Say::hello: return answered(greet(message));
    case Say::ping: return answer();
    case Say::discover: return answer(backend_.discover());
    case Say::open: return with(Open{}, [&](const Open& r) { return open(r); });
    case Say::heaps: return with(Id{}, [&](Id id) { return heaps(id); });
    case Say::allocate: return with(Allocate{}, [&](const Allocate& r) { return allocate(r, message.files); });
    case Say::read:
    case Say::write: return with(Move{}, [&](const Move& r) { return move(message.header.say, r); });
    case Say::queue: return with(MakeQueue{}, [&](const MakeQueue& r) { return make_queue(r); });
    case Say::claim: return with(AskClaim{}, [&](const AskClaim& r) { return claim(r); });
    case Say::compile:
      return with(Compile{}, [&](Compile& r) { return compile(r, message.files, message.header.number, stop); });
    default: return answer_error(garbled);
  }
}

Status HostSide::greet(Message& message) {
  std::uint32_t theirs = 0;
  if (!decode(message.bytes, theirs) || theirs != protocol || message.files.size() != 1)
    return Error{Code::unsupported, "host process: it speaks version " + std::to_string(protocol) +
                                        " of the protocol, the application " + std::to_string(theirs) +
                                        "; both must be of one build"};
  const off_t bytes = lseek(message.files[0].get(), 0, SEEK_END);
  HAL_TRY(region_,
          Mapping::of(message.files[0], 0, static_cast<Bytes>(std::max<off_t>(bytes, 0)), Mapping::Use::shared));
  return ok();
}

Result<Info> HostSide::open(const Open& request) {
  HAL_TRY(DeviceRef device, backend_.open(request.device, host_));
  Info info = device->info();
  objects_.put(request.as, std::move(device));
  return info;
}

Result<std::vector<Heap>> HostSide::heaps(Id id) {
  HAL_TRY(const DeviceRef device, objects_.get<DeviceRef>(id));
  HAL_TRY(std::vector<Heap> heaps, device->heaps());
  std::lock_guard lock(shared_mutex_);
  for (Heap& heap : heaps)
    if (heap.host_visible) {
      heap.used += shared_[device.get()];
      break;
    }
  return heaps;
}

Status HostSide::allocate(const Allocate& request, std::vector<File>& files) {
  maybe(Fault::At::allocation);
  HAL_TRY(DeviceRef device, objects_.get<DeviceRef>(request.device));
  HeldBuffer held{device, nullptr, nullptr, nullptr, nullptr};
  if (files.empty()) {
    HAL_TRY(held.buffer, device->allocate({request.bytes, request.memory, request.label}));
    objects_.put(request.as, std::move(held));
    return ok();
  }
  const std::string what = device->info().id + ": " + (request.label.empty() ? "a buffer" : request.label);
  if (request.bytes > device->info().limits.max_buffer)
    return Error{Code::out_of_memory, what + ": asked " + std::to_string(request.bytes) + " bytes, largest buffer " +
                                          std::to_string(device->info().limits.max_buffer)};
  if (Status there = commit(files[0], request.bytes); !there)
    return Error{Code::out_of_memory, what + ": " + there.error().message};
  HAL_TRY(held.mapping, Mapping::of(files[0], 0, request.bytes, Mapping::Use::shared));
  auto adopted = device->adopt(
      {Handle::host_pointer, reinterpret_cast<std::uint64_t>(held.mapping->bytes().data()), request.bytes});
  if (adopted) {
    held.buffer = std::move(*adopted);
  } else {
    held.buffer = std::make_shared<SharedBuffer>(std::move(held.mapping));
    held.copy = std::make_shared<BufferRef>();
  }
  std::lock_guard lock(shared_mutex_);
  shared_[device.get()] += request.bytes;
  held.counted = std::shared_ptr<const void>(device.get(), [this, bytes = request.bytes](const void* of) {
    std::lock_guard counting(shared_mutex_);
    shared_[static_cast<const Device*>(of)] -= bytes;
  });
  objects_.put(request.as, std::move(held));
  return ok();
}

Status HostSide::move(Say say, const Move& request) {
  if (say == Say::read) maybe(Fault::At::readback);
  HAL_TRY(const HeldBuffer held, objects_.get<HeldBuffer>(request.buffer));
  if (!region_ || request.at > region_->bytes().size() || request.bytes > region_->bytes().size() - request.at)
    return garbled;
  const auto bytes = region_->bytes().subspan(request.at, request.bytes);
  return say == Say::read ? held.buffer->read(request.offset, bytes) : held.buffer->write(request.offset, bytes);
}

Status HostSide::make_queue(const MakeQueue& request) {
  HAL_TRY(DeviceRef device, objects_.get<DeviceRef>(request.device));
  HAL_TRY(auto queue, device->create_queue(request.kind));
  objects_.put(request.as, HeldQueue{std::move(device), std::move(queue)});
  return ok();
}

Result<Claim> HostSide::claim(const AskClaim& request) {
  HAL_TRY(const DeviceRef device, objects_.get<DeviceRef>(request.device));
  return device->claim(request.segment);
}

Result<Compiled> HostSide::compile(Compile& request, std::vector<File>& files, std::uint64_t number,
                                   const std::stop_token& stop) {
  maybe(Fault::At::compile);
  HAL_TRY(const DeviceRef device, objects_.get<DeviceRef>(request.device));
  if (request.blobs.size() != request.segment.constants.size()) return garbled;
  Compiled compiled;
  {
    std::lock_guard lock(blobs_mutex_);
    std::erase_if(blobs_, [](const auto& blob) { return blob.second.expired(); });
    for (std::size_t i = 0; i < request.blobs.size(); ++i) {
      const Blob& blob = request.blobs[i];
      if (blob.blob == 0) continue;
      std::shared_ptr<const Mapping> mapping;
      if (auto known = blobs_.find(blob.blob); known != blobs_.end()) mapping = known->second.lock();
      if (!mapping && blob.file < files.size()) {
        HAL_TRY(mapping, Mapping::of(files[blob.file], blob.offset, blob.bytes,
                                     blob.mapped_file ? Mapping::Use::read : Mapping::Use::read_once));
        blobs_[blob.blob] = mapping;
      }
      if (!mapping) {
        compiled.missing.push_back(blob.blob);
        continue;
      }
      Constant& c = request.segment.constants[i];
      c.data = mapping->bytes();
      c.owner = std::move(mapping);
      c.mapped_file = blob.mapped_file;
    }
  }
  if (!compiled.missing.empty()) return compiled;
  files.clear();
  CompileOptions options;
  options.stop = stop;
  options.cache_dir = request.cache_dir;
  if (request.progress)
    options.progress = [this, number](float done) { channel_->send(Say::progress, number, encode(done)); };
  HAL_TRY(ProgramRef program, device->compile(request.segment, options));
  compiled.resident = program->resident();
  compiled.scratch = program->scratch();
  objects_.put(request.as, HeldProgram{std::move(program), request.segment.inputs.size()});
  return compiled;
}

}  // namespace switchyard::backends::remote
