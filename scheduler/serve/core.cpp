#include "scheduler/serve/core.h"

#include <algorithm>

#include "scheduler/serve/worker.h"

namespace switchyard::scheduler {

using namespace hal;

namespace {

constexpr auto patience = std::chrono::seconds(1);    // for a device that is asked whether it is there
constexpr auto look = std::chrono::milliseconds(20);  // how often the watcher looks

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace

bool answers(Device& device) {
  auto timeline = device.create_timeline(0);
  auto queue = device.create_queue(QueueKind::any);
  return timeline && queue && (*queue)->submit({{}, {}, {{*timeline, 1}}, nullptr}) && (*timeline)->wait(1, patience);
}

Core::Core(models::Model m, probes::Devices& d, std::optional<probes::Profile> profile, const EngineOptions& o)
    : model(std::move(m)),
      devices(d),
      options(o),
      placer(d.machine(), std::move(profile), model, o),
      health({steady_now, nanoseconds_of(o.first_rest), nanoseconds_of(o.longest_rest)}),
      watchdog({steady_now, o.late_factor, nanoseconds_of(o.late_seconds)}) {}

std::set<std::string> Core::resting() const {
  std::set<std::string> ids;
  for (const DeviceHealth& d : health.list())
    if (!health.may_use(d.device)) ids.insert(d.device);
  return ids;
}

void Core::event(Event::What what, std::uint64_t session, std::string where, std::string text) const {
  if (options.metrics) {
    const std::string id = std::to_string(session);
    if (what == Event::What::opened) options.metrics->open_session(id);
    if (what == Event::What::closed) options.metrics->close_session(id);
    options.metrics->event(to_string(what), session ? "session " + id : where, text);
  }
  if (options.on_event) options.on_event({what, session, std::move(where), std::move(text)});
}

void Core::count(const Metric& counter, std::uint64_t session, const std::string& where, double by) const {
  if (options.metrics && by > 0) options.metrics->add(counter, {std::to_string(session), where}, by);
}

Result<Placement> Core::place(const Where& where) { return placer.place(where, resting()); }

Result<std::shared_ptr<Worker>> Core::worker_of(const Placement& placement) {
  std::lock_guard one(opening);
  {
    std::lock_guard lock(mutex);
    if (closing) return Error{Code::invalid_argument, "the engine is closed"};
    if (auto known = workers.find(placement.devices); known != workers.end()) return known->second;
  }
  auto worker = Worker::open(*this, placement);
  if (!worker) {
    const auto failure = failure_of(worker.error());
    if (!failure) return worker;
    std::vector<std::string> unwell;
    for (const std::string& id : placement.used())
      if (auto device = devices.open(id); !device || !answers(**device)) unwell.push_back(id);
    rest(unwell.empty() ? placement.used() : unwell, *failure, describe(worker.error()));
    return worker;
  }
  std::lock_guard lock(mutex);
  workers[placement.devices] = *worker;
  return worker;
}

std::optional<Status> Core::call(const std::shared_ptr<Worker>& worker, std::function<Status(Worker&)> work) {
  auto command = std::make_shared<Command>();
  command->work = std::move(work);
  auto done = command->done.get_future();
  {
    std::lock_guard lock(mutex);
    if (!worker->post(command)) return std::nullopt;
  }
  return done.get();
}

Status Core::on_worker(const ConversationRef& c, const std::function<Status(Worker&)>& work) {
  while (true) {
    std::shared_ptr<Worker> worker;
    {
      std::unique_lock lock(mutex);
      moved.wait(lock, [&] { return c->closed || c->parked || c->worker; });
      if (c->closed) return closed_error(*c);
      if (c->parked)
        return Error{Code::unavailable, "session " + std::to_string(c->id) + " waits for a device at present"};
      worker = c->worker;
    }
    if (worker->on_its_thread())
      return Error{Code::invalid_argument, "session " + std::to_string(c->id) +
                                               ": a call that waits for its worker, inside a callback of that worker"};
    auto here = std::make_shared<bool>(false);
    const auto done = call(worker, [this, c, work, here](Worker& w) -> Status {
      {
        std::lock_guard lock(mutex);
        *here = c->worker.get() == &w;
      }
      return *here ? work(w) : ok();
    });
    if (done && *here) return *done;
  }
}

void Core::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    woken.wait_for(lock, stop, look, [] { return false; });
    if (stop.stop_requested()) return;
    watchdog.poll();
    std::vector<std::shared_ptr<Worker>> late;
    for (const auto& [key, worker] : workers)
      if (worker->late()) late.push_back(worker);
    std::vector<ConversationRef> parked;
    for (const auto& [id, c] : conversations)
      if (c->parked && Clock::now() >= c->try_again) parked.push_back(c);
    lock.unlock();
    for (const auto& worker : late) {
      auto ids = worker->unwell();
      retire(*worker, ids.empty() ? worker->placement().used() : ids, Failure::hung, "a step takes longer than it may");
    }
    for (const auto& c : parked) resume(c, "a device is back");
    lock.lock();
  }
}

Error closed_error(const Conversation& c) {
  return {Code::invalid_argument, "session " + std::to_string(c.id) + " is closed"};
}

SessionStats stats_of(const Conversation& c) {
  SessionStats stats = c.stats;
  if (c.worker) stats.devices = c.worker->placement().text();
  stats.length = static_cast<std::int64_t>(c.log.size());
  stats.cached = c.cached;
  return stats;
}

void Core::end(Conversation& c, std::optional<Finish> finish, std::optional<Error> error) {
  if (!c.active) return;
  c.active = false;
  if (finish != Finish::stop) c.shown = c.log.size();
  c.finish = finish;
  c.error = std::move(error);
  c.told = false;
  c.changed.notify_all();
}

std::vector<std::int32_t> take_shown(Conversation& c) {
  const auto at = [&](std::size_t i) { return c.log.begin() + static_cast<std::ptrdiff_t>(i); };
  std::vector<std::int32_t> tokens(at(c.given), at(std::max(c.given, c.shown)));
  c.given = std::max(c.given, c.shown);
  return tokens;
}

void Core::give(const ConversationRef& c) {
  std::unique_lock lock(mutex);
  if (!c->on_piece || c->giving) return;  // whoever gives now gives this too
  c->giving = true;
  while (true) {
    Piece piece;
    piece.tokens = take_shown(*c);
    if (!c->active && !c->told) {
      c->told = true;
      piece.finish = c->finish;
      piece.error = c->error;
    }
    if (piece.tokens.empty() && !piece.finish && !piece.error) break;
    const OnPiece on_piece = c->on_piece;
    lock.unlock();
    std::string thrown;
    try {
      on_piece(piece);
    } catch (const std::exception& e) {
      thrown = std::string(": ") + e.what();
    } catch (...) {
      thrown = " something";
    }
    lock.lock();
    if (thrown.empty()) continue;
    const Error error{Code::invalid_argument, "the callback of session " + std::to_string(c->id) + " threw" + thrown};
    end(*c, std::nullopt, error);
    c->error = error;  // also where it was the last piece
    c->told = true;
    break;
  }
  c->giving = false;
  c->changed.notify_all();
}

}  // namespace switchyard::scheduler
