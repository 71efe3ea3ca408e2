#include "backends/remote/connection.h"

namespace switchyard::backends::remote {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr Bytes slot_bytes = 2 << 20, slots = 8;
constexpr std::chrono::milliseconds to_die = 200ms, to_close = 3s;

std::string seconds(std::chrono::milliseconds time) {
  std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  text.resize(text.find('.') + 2);
  return text + " s";
}

}  // namespace

class Connection::Call {  // under the connection's mutex
 public:
  std::uint64_t number = 0;
  std::condition_variable changed;
  std::optional<Result<std::string>> answer;
  std::deque<float> progress;
};

// What keeps a connection open. The last one to let go may be the reading thread itself.
struct Connection::Owner {
  explicit Owner(std::shared_ptr<Connection> c) : connection(std::move(c)) {
    reader = std::thread([held = connection] { held->read(); });
  }
  ~Owner() {
    connection->close();
    if (reader.get_id() == std::this_thread::get_id())
      reader.detach();
    else
      reader.join();
  }
  std::shared_ptr<Connection> connection;
  std::thread reader;
};

Result<ConnectionRef> Connection::start(const std::string& backend, const Options& options) {
  std::shared_ptr<Connection> connection(new Connection(backend, options));
  HAL_TRY(auto sockets, make_sockets());
  HAL_TRY(File region, memory_file("switchyard region", slots * slot_bytes));
  HAL_TRY(connection->region_, Mapping::of(region, 0, slots * slot_bytes, Mapping::Use::shared));
  for (Bytes i = 0; i < slots; ++i) connection->slots_.push_back(i * slot_bytes);
  HAL_TRY(connection->channel_, Channel::open(std::move(sockets.first)));
  std::vector<std::string> command = options.command;
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  command.insert(command.end(), {"--backend", backend});
  HAL_TRY(connection->process_, Process::start(std::move(command), std::move(sockets.second)));
  auto owner = std::make_shared<Owner>(connection);
  ConnectionRef owned(owner, connection.get());
  std::vector<File> files;
  files.push_back(std::move(region));
  CallOptions limited;
  limited.patience = options.patience;
  HAL_TRY(auto greeting, owned->wait(*owned->begin(Say::hello, encode(protocol), std::move(files)), limited));
  return owned;
}

void Connection::kill(const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    if (lost_) return;
    if (reason_.empty()) reason_ = why;
  }
  process_->kill();
}

std::optional<Error> Connection::lost() const {
  std::lock_guard lock(mutex_);
  return lost_;
}

std::shared_ptr<Connection::Call> Connection::begin(Say say, std::string_view request, std::vector<File> files) {
  auto call = std::make_shared<Call>();
  call->number = new_id();
  {
    std::lock_guard lock(mutex_);
    if (lost_) {
      call->answer = *lost_;
      return call;
    }
    calls_[call->number] = call;
  }
  channel_->send(say, call->number, request, std::move(files));
  return call;
}

Result<std::string> Connection::wait(Call& call, const CallOptions& options) {
  const std::stop_callback stopped(options.stop, [&] { channel_->send(Say::cancel, call.number, {}); });
  const bool limited = options.patience != std::chrono::milliseconds::max();
  const auto limit = limited ? Clock::now() + options.patience : Clock::time_point{};
  auto ready = [&] { return call.answer || !call.progress.empty(); };
  bool late = false;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (limited && !late) {
      if (!call.changed.wait_until(lock, limit, ready)) {
        late = true;
        lock.unlock();
        kill("it did not answer for " + seconds(options.patience));
        lock.lock();
        continue;
      }
    } else {
      call.changed.wait(lock, ready);
    }
    while (!call.progress.empty()) {
      const float done = call.progress.front();
      call.progress.pop_front();
      if (!options.progress) continue;
      lock.unlock();
      (*options.progress)(done);
      lock.lock();
    }
    if (!call.answer) continue;
    Result<std::string> answer = std::move(*call.answer);
    if (late && !answer) return Error{Code::timed_out, answer.error().message};
    return answer;
  }
}

Status Connection::submit(const Submit& submit, Finished finished) {
  const Id number = new_id();
  {
    std::lock_guard lock(mutex_);
    if (lost_) return *lost_;
    flights_.emplace(number, std::move(finished));
  }
  channel_->send(Say::submit, number, encode(submit));
  return ok();
}

Status Connection::list(Id id, const std::shared_ptr<HostTimeline>& timeline) {
  std::lock_guard lock(mutex_);
  if (lost_) return *lost_;
  timelines_[id] = timeline;
  return ok();
}

void Connection::release(Id id) {
  {
    std::lock_guard lock(mutex_);
    timelines_.erase(id);
  }
  post(Say::release, id);
}

Slot Connection::take_slot() {
  std::unique_lock lock(slots_mutex_);
  slot_free_.wait(lock, [&] { return !slots_.empty(); });
  const Bytes at = slots_.back();
  slots_.pop_back();
  return {at, region_->bytes().subspan(at, slot_bytes)};
}

std::optional<Slot> Connection::take_another_slot() {
  std::lock_guard lock(slots_mutex_);
  if (slots_.empty()) return std::nullopt;
  const Bytes at = slots_.back();
  slots_.pop_back();
  return Slot{at, region_->bytes().subspan(at, slot_bytes)};
}

void Connection::give_slot(const Slot& slot) {
  {
    std::lock_guard lock(slots_mutex_);
    slots_.push_back(slot.at);
  }
  slot_free_.notify_one();
}

void Connection::read() {
  heard_ = Clock::now();
  auto tick = std::clamp<std::chrono::milliseconds>(options_.patience / 4, 1ms, 5s);
  for (std::string why;;) {
    const auto state = channel_->pump(tick, process_->watch(), [&](Message m) { return take(std::move(m)); });
    if (state == Channel::State::ended) return end({});
    if (state == Channel::State::broken) return end("it sent what is no message");
    if (why = overdue(); !why.empty()) return end(std::move(why));
    std::lock_guard lock(mutex_);
    if (!closing_) continue;
    if (Clock::now() > closed_ + to_close) break;
    tick = 100ms;
  }
  end("it did not let go");
}

bool Connection::take(Message message) {
  heard_ = Clock::now();
  const std::uint64_t number = message.header.number;
  Reader reader(message.bytes);
  if (message.header.say == Say::progress) {
    float done = 0;
    reader(done);
    std::lock_guard lock(mutex_);
    auto call = calls_.find(number);
    if (call == calls_.end()) return reader.ok();
    call->second->progress.push_back(done);
    call->second->changed.notify_all();
    return reader.ok();
  }
  bool well = false;
  Error error{};
  if (message.header.say == Say::done) {
    Finished finished;
    {
      std::lock_guard lock(mutex_);
      auto flight = flights_.find(number);
      if (flight == flights_.end()) return false;
      finished = std::move(flight->second);
      flights_.erase(flight);
    }
    Times times;
    reader(well);
    well ? reader(times) : reader(error);
    if (!reader.ok()) error = {Code::device_lost, backend_ + ": its host's answer is cut short"};
    finished(well && reader.ok() ? Result<Times>(std::move(times)) : Result<Times>(std::move(error)));
    return reader.ok();
  }
  if (message.header.say != Say::reply || message.bytes.empty()) return false;
  if (message.bytes[0] == 0) {
    reader(well, error);
    if (!reader.ok()) return false;
  }
  std::lock_guard lock(mutex_);
  auto call = calls_.find(number);
  if (call == calls_.end()) return false;
  if (message.bytes[0] == 0) {
    call->second->answer = std::move(error);
  } else {
    message.bytes.erase(0, 1);
    call->second->answer = std::move(message.bytes);
  }
  call->second->changed.notify_all();
  calls_.erase(call);
  return true;
}

// Why the host is taken for dead, if it is.
std::string Connection::overdue() {
  const auto now = Clock::now();
  bool busy = false, answered = false;
  {
    std::lock_guard lock(mutex_);
    busy = !calls_.empty() || !flights_.empty();
    answered = ping_ && ping_->answer;
  }
  if (answered) ping_ = nullptr;
  if (ping_ && now - pinged_ > options_.patience) return "it did not answer a ping for " + seconds(options_.patience);
  if (!ping_ && busy && now - heard_ > options_.patience / 2) {
    ping_ = begin(Say::ping, {});
    pinged_ = now;
  }
  return {};
}

// The process has ended, or is taken for dead and will be.
void Connection::end(std::string why) {
  bool closing = false;
  {
    std::lock_guard lock(mutex_);
    closing = closing_;
    if (why.empty()) why = reason_;
  }
  if (!closing && !why.empty()) process_->kill();
  const std::string how = process_->end(closing && why.empty() ? to_close : to_die);
  Error error{Code::device_lost, backend_ + ": its host process " + std::to_string(process_->id()) + " " + how +
                                     (why.empty() ? "" : ": " + why)};
  std::map<std::uint64_t, std::shared_ptr<Call>> calls;
  std::map<std::uint64_t, Finished> flights;
  std::map<Id, std::weak_ptr<HostTimeline>> timelines;
  {
    std::lock_guard lock(mutex_);
    lost_ = error;
    calls.swap(calls_);
    flights.swap(flights_);
    timelines.swap(timelines_);
  }
  channel_->close();
  for (auto& [number, finished] : flights) finished(error);
  for (auto& [id, timeline] : timelines)
    if (auto held = timeline.lock()) held->fail(error);
  std::lock_guard lock(mutex_);
  for (auto& [number, call] : calls) {
    call->answer = error;
    call->changed.notify_all();
  }
}

void Connection::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    closed_ = Clock::now();
  }
  channel_->close();
}

}  // namespace switchyard::backends::remote
