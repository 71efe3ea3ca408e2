// Where sessions live: they settle on a worker, move, and go on elsewhere when its devices fail.
#include <algorithm>

#include "scheduler/cost/cost.h"
#include "scheduler/run/pair_run.h"
#include "scheduler/serve/core.h"
#include "scheduler/serve/worker.h"

namespace switchyard::scheduler {

using namespace hal;

namespace {

constexpr auto try_again = std::chrono::milliseconds(250);  // to find a device for a session that waits for one

std::string joined(const std::vector<std::string>& ids) {
  std::string all;
  for (const std::string& id : ids) all += (all.empty() ? "" : ", ") + id;
  return all;
}

}  // namespace

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
    if (c->closed) return (*worker)->post_detach(c->id), closed_error(*c);
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
      const std::int64_t again = std::max<std::int64_t>(before - c->cached, 0);
      c->stats.replayed_tokens += again;
      where = c->worker ? c->worker->placement().text() : "";
      count(metric::replays, c->id, where);
      count(metric::replayed_tokens, c->id, where, static_cast<double>(again));
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
      if (c->closed) return worker->post_detach(c->id), closed_error(*c);
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
      count(metric::moves, c->id, report.to);
      count(metric::moved_bytes, c->id, report.to, static_cast<double>(report.bytes));
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
    if (options.metrics) options.metrics->add(metric::faults, {id, to_string(failure)});
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

}  // namespace switchyard::scheduler
