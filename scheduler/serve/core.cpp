#include "scheduler/serve/core.h"

#include <algorithm>

#include "scheduler/cost/cost.h"
#include "scheduler/run/pair_run.h"
#include "scheduler/serve/worker.h"

namespace switchyard::scheduler {

using namespace hal;

namespace {

constexpr auto patience = std::chrono::seconds(1);          // for a device that is asked whether it is there
constexpr auto look = std::chrono::milliseconds(20);        // how often the watcher looks
constexpr auto try_again = std::chrono::milliseconds(250);  // to find a device for a session that waits for one

Error closed(const Conversation& c) {
  return {Code::invalid_argument, "session " + std::to_string(c.id) + " is closed"};
}

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::string joined(const std::vector<std::string>& ids) {
  std::string all;
  for (const std::string& id : ids) all += (all.empty() ? "" : ", ") + id;
  return all;
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

void Core::event(Event::What kind, std::uint64_t session, std::string where, std::string text) const {
  if (options.on_event) options.on_event({kind, session, std::move(where), std::move(text)});
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
      if (c->closed) return closed(*c);
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

Status Core::settle(const ConversationRef& c, std::shared_ptr<const SequenceState> state) {
  Where where = c->where;
  std::optional<Error> full;  // why the first choice would not do
  while (true) {
    auto placement = place(where);
    if (!placement) return full ? *full : placement.error();
    auto worker = worker_of(*placement);
    std::optional<Status> done = worker ? std::nullopt : std::optional<Status>(worker.error());
    if (worker) done = call(*worker, [id = c->id, state](Worker& w) { return w.attach(id, state.get()); });
    if (!done || (!*done && failure_of(done->error()))) continue;  // its devices rest now
    if (!*done) {
      if (where.strict || done->error().code != Code::out_of_memory) return *done;
      if (!full) full = done->error();
      where.device.clear();
      for (const std::string& id : placement->used()) where.avoid.insert(id);
      continue;
    }
    std::lock_guard lock(mutex);
    if ((*worker)->retired()) continue;
    if (c->closed) return (*worker)->post_detach(c->id), closed(*c);
    c->worker = *worker;
    c->cached = state ? static_cast<std::int64_t>(state->log.size()) : 0;
    c->ready_since = Clock::now();
    (*worker)->wake();
    moved.notify_all();
    return ok();
  }
}

void Core::resume(const ConversationRef& c, const std::string& why) {
  std::shared_ptr<const SequenceState> kept;
  std::int64_t before = 0;
  {
    std::lock_guard lock(mutex);
    if (c->closed) return;
    kept = c->kept;
    before = c->cached;
  }
  Status done = settle(c, kept);
  std::string where;
  bool waited = false;
  {
    std::lock_guard lock(mutex);
    if (c->closed) return;
    waited = c->parked;
    c->parked = !done;
    if (!done) {
      c->cached = 0;
      c->try_again = Clock::now() + try_again;
    } else {
      c->stats.replayed_tokens += std::max<std::int64_t>(before - c->cached, 0);
      where = c->worker ? c->worker->placement().text() : "";
    }
    moved.notify_all();
  }
  if (done) return event(Event::What::resumed, c->id, where, why);
  if (!waited) event(Event::What::waiting, c->id, "", why + "; " + describe(done.error()));
}

Result<MoveReport> Core::move(const ConversationRef& c, const Where& where) {
  HAL_TRY(const Placement placement, place(where));
  HAL_TRY(auto to, worker_of(placement));
  struct Leaving {
    std::shared_ptr<Worker> from;  // null: it is there already
    std::shared_ptr<const SequenceState> state;
    Clock::time_point begin;
  };
  auto left = std::make_shared<Leaving>();
  const auto leave = [this, c, to, left](Worker& w) -> Status {
    left->begin = Clock::now();
    if (&w == to.get()) return ok();
    auto saved = w.state_of(c->id);
    if (!saved) return saved.error();
    left->state = std::make_shared<const SequenceState>(std::move(*saved));
    w.detach(c->id);
    std::lock_guard lock(mutex);
    left->from = std::move(c->worker);
    c->worker = nullptr;
    c->kept = left->state;
    return ok();
  };
  HAL_CHECK(on_worker(c, leave));
  MoveReport report;
  report.to = to->placement().text();
  if (!left->from) {
    std::lock_guard lock(mutex);
    c->where = where;
    report.from = report.to;
    return report;
  }
  report.from = left->from->placement().text();
  report.bytes = bytes_of(*left->state);
  if (const auto& profile = placer.profile())
    report.predicted_seconds =
        CostModel(*profile)
            .move(left->from->placement().devices.front(), placement.devices.front(), static_cast<double>(report.bytes))
            .seconds;
  // It arrives there, or goes back, or wherever it can.
  Status problem = ok();
  for (const auto& worker : {to, left->from}) {
    const auto done = call(worker, [id = c->id, s = left->state](Worker& w) { return w.attach(id, s.get()); });
    std::unique_lock lock(mutex);
    if (done && *done && !worker->retired()) {
      if (c->closed) return worker->post_detach(c->id), closed(*c);
      c->worker = worker;
      c->ready_since = Clock::now();
      worker->wake();
      moved.notify_all();
      if (worker != to) return problem.error();
      c->where = where;
      report.seconds = seconds_since(left->begin);
      ++c->stats.moves;
      c->stats.last_move = report;
      lock.unlock();
      event(Event::What::moved, c->id, report.to, "from " + report.from);
      return report;
    }
    if (problem)
      problem = done && !*done ? *done : Error{Code::device_lost, "move to " + report.to + ": it has just failed"};
  }
  resume(c, "both devices of a move have failed");
  return problem.error();
}

void Core::rest(const std::vector<std::string>& failed, Failure failure, const std::string& why) {
  for (const std::string& id : failed) {
    health.report_failure(id, failure, why);
    devices.forget(id);
  }
  event(Event::What::quarantined, 0, joined(failed), why);
}

void Core::retire(Worker& worker, const std::vector<std::string>& failed, Failure failure, const std::string& why) {
  std::vector<ConversationRef> homeless;
  std::deque<CommandRef> left;
  {
    std::lock_guard lock(mutex);
    if (worker.retired()) return;
    left = worker.retire();
    workers.erase(worker.placement().devices);
    for (const auto& [id, c] : conversations)
      if (c->worker.get() == &worker) {
        c->worker = nullptr;
        c->busy = false;
        c->changed.notify_all();
        homeless.push_back(c);
      }
  }
  rest(failed, failure, why);
  for (const CommandRef& c : left) c->done.set_value(std::nullopt);
  for (const ConversationRef& c : homeless) resume(c, why);
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
