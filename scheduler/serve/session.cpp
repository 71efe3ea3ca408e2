#include "scheduler/serve/session.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "scheduler/serve/core.h"
#include "scheduler/serve/snapshot.h"
#include "scheduler/serve/worker.h"

namespace switchyard::scheduler {

using namespace hal;

const char* to_string(Finish finish) {
  switch (finish) {
    case Finish::length: return "length";
    case Finish::stop: return "stop";
    case Finish::cancelled: return "cancelled";
    case Finish::context: return "context";
  }
  return "unknown";
}

namespace {

std::string name_of(const Conversation& c) { return "session " + std::to_string(c.id); }

Status open_still(const Conversation& c) {
  if (!c.closed) return ok();
  return closed_error(c);
}

Status at_rest(const Conversation& c) {
  HAL_CHECK(open_still(c));
  if (!c.active) return ok();
  return Error{Code::invalid_argument, name_of(c) + ": a submission is under way; wait for its end, or cancel it"};
}

}  // namespace

Session::Session(std::shared_ptr<Core> core, std::shared_ptr<Conversation> conversation)
    : core_(std::move(core)), it_(std::move(conversation)) {}

Session::~Session() { (void)close(); }

std::uint64_t Session::id() const { return it_->id; }

Status Session::submit(std::span<const std::int32_t> tokens, const Generation& generation, OnPiece on_piece) {
  Conversation& c = *it_;
  std::unique_lock lock(core_->mutex);
  c.changed.wait(lock, [&] { return c.closed || c.active || !c.busy; });  // a step that was cancelled may still run
  HAL_CHECK(at_rest(c));
  HAL_CHECK(check_tokens(tokens, core_->model.config.vocab));
  HAL_CHECK(check(generation, core_->model.config.vocab));
  const auto length = static_cast<std::int64_t>(c.log.size() + tokens.size());
  if (length > c.context || (length == c.context && generation.max_tokens > 0))
    return Error{Code::invalid_argument, name_of(c) + " would have " + std::to_string(length) +
                                             " tokens before the first new one; its context is " +
                                             std::to_string(c.context)};
  if (length == 0)
    return Error{Code::invalid_argument, name_of(c) + ": nothing to go on from; submit at least one token"};
  c.log.insert(c.log.end(), tokens.begin(), tokens.end());
  c.stats.prompt_tokens += static_cast<std::int64_t>(tokens.size());
  c.given = c.shown = c.from = c.log.size();
  c.generation = generation;
  c.on_piece = std::move(on_piece);
  c.finish.reset();
  c.error.reset();
  c.told = true;
  c.active = true;
  c.submitted = c.ready_since = Clock::now();
  if (c.rows_left() == 0) core_->end(c, Finish::length, {});  // one token, and none is wanted
  if (c.worker) c.worker->wake();
  lock.unlock();
  core_->give(it_);
  return ok();
}

Result<Piece> Session::next(std::chrono::nanoseconds timeout) {
  Conversation& c = *it_;
  std::unique_lock lock(core_->mutex);
  HAL_CHECK(open_still(c));
  if (c.on_piece) return Error{Code::invalid_argument, name_of(c) + ": its tokens go to a callback"};
  const auto there = [&] { return c.closed || !c.active || c.given < c.shown; };
  if (!c.active && c.told && c.given >= c.shown)
    return Error{Code::invalid_argument, name_of(c) + ": no submission is under way"};
  if (timeout == std::chrono::nanoseconds::max()) {
    c.changed.wait(lock, there);
  } else if (!c.changed.wait_for(lock, timeout, there)) {
    return Error{Code::timed_out, name_of(c) + ": no token came in time"};
  }
  HAL_CHECK(open_still(c));
  Piece piece;
  piece.tokens = take_shown(c);
  if (c.active) return piece;
  c.told = true;
  if (c.error && piece.tokens.empty()) return *c.error;
  c.told = !c.error;  // the tokens first, then the error
  piece.finish = c.finish;
  return piece;
}

Result<Piece> Session::wait() {
  Conversation& c = *it_;
  {
    std::unique_lock lock(core_->mutex);
    HAL_CHECK(open_still(c));
    c.changed.wait(lock, [&] { return c.closed || (!c.active && (!c.on_piece || (c.told && !c.giving))); });
    HAL_CHECK(open_still(c));
    if (!c.error && !c.finish) return Error{Code::invalid_argument, name_of(c) + ": nothing was submitted"};
    if (c.error) {
      c.told = true;
      return *c.error;
    }
    if (c.on_piece || (c.told && c.given >= c.shown)) return Piece{{}, c.finish, {}};
  }
  return next();
}

Status Session::cancel() {
  {
    std::lock_guard lock(core_->mutex);
    HAL_CHECK(open_still(*it_));
    core_->end(*it_, Finish::cancelled, {});
  }
  core_->give(it_);
  return ok();
}

Result<MoveReport> Session::move(const std::string& pin, bool strict) {
  HAL_TRY(const Where where, where_from(pin.empty() ? core_->options.pin : pin, strict, core_->placer.machine()));
  return core_->move(it_, where);
}

Result<std::unique_ptr<Session>> Session::fork() {
  auto other = std::make_shared<Conversation>();
  const auto make = [core = core_, from = it_, other](Worker& w) -> Status {
    {
      std::lock_guard lock(core->mutex);
      HAL_CHECK(at_rest(*from));
      other->id = core->next_id++;
      other->options = from->options;
      other->where = from->where;
      other->context = from->context;
      other->log = from->log;
      other->given = other->shown = other->from = other->log.size();
      other->kept = from->kept;
    }
    HAL_CHECK(w.fork(from->id, other->id));
    std::lock_guard lock(core->mutex);
    other->cached = from->cached;
    other->worker = w.shared_from_this();
    other->stats.id = other->id;
    core->conversations[other->id] = other;
    return ok();
  };
  HAL_CHECK(core_->on_worker(it_, make));
  core_->event(Event::What::opened, other->id, "", "fork of session " + std::to_string(it_->id));
  return std::unique_ptr<Session>(new Session(core_, other));
}

Status Session::rollback(std::int64_t tokens) {
  return core_->on_worker(it_, [core = core_, c = it_, tokens](Worker& w) -> Status {
    std::int64_t back = 0;
    {
      std::lock_guard lock(core->mutex);
      HAL_CHECK(at_rest(*c));
      const auto length = static_cast<std::int64_t>(c->log.size());
      if (tokens < 0 || tokens > length)
        return Error{Code::invalid_argument, name_of(*c) + ": rollback of " + std::to_string(tokens) +
                                                 " tokens; it has " + std::to_string(length)};
      back = std::max<std::int64_t>(c->cached - std::max<std::int64_t>(length - tokens - 1, 0), 0);
    }
    if (back)  // any other error leaves the log cut, and the state to be made again from it
      if (auto done = w.rollback(c->id, back); !done && done.error().code == Code::invalid_argument)
        return done.error();
    core->count(metric::rollbacks, c->id, w.placement().text());
    std::lock_guard lock(core->mutex);
    c->log.resize(c->log.size() - static_cast<std::size_t>(tokens));
    c->given = c->shown = c->from = c->log.size();
    c->read = std::min(c->read, static_cast<std::int64_t>(c->log.size()));
    c->cached -= back;
    if (c->kept && static_cast<std::int64_t>(c->kept->log.size()) > c->cached) c->kept = nullptr;
    return ok();
  });
}

Status Session::save(const std::filesystem::path& path) {
  auto snapshot = std::make_shared<Snapshot>();
  const auto take = [core = core_, c = it_, snapshot](Worker& w) -> Status {
    auto state = w.state_of(c->id);
    if (!state) return state.error();
    snapshot->state = std::move(*state);
    std::lock_guard lock(core->mutex);
    snapshot->model_name = core->model.name;
    nlohmann::json extra{{"sampling", nlohmann::json::parse(to_json(c->options.sampling))},
                         {"unread", nlohmann::json::array()}};
    for (std::size_t i = snapshot->state.log.size(); i < c->log.size(); ++i) extra["unread"].push_back(c->log[i]);
    snapshot->extra = extra.dump();
    return ok();
  };
  HAL_CHECK(core_->on_worker(it_, take));
  return save_snapshot(path, *snapshot);
}

Status Session::close() {
  std::shared_ptr<Worker> worker;
  {
    std::lock_guard lock(core_->mutex);
    HAL_CHECK(open_still(*it_));
    core_->end(*it_, Finish::cancelled, {});
    it_->closed = true;
    core_->conversations.erase(it_->id);
    worker = std::move(it_->worker);
    it_->worker = nullptr;
    it_->kept = nullptr;
    it_->changed.notify_all();
    core_->moved.notify_all();
    if (worker) worker->post_detach(it_->id);
  }
  core_->give(it_);
  core_->event(Event::What::closed, it_->id, worker ? worker->placement().text() : "", "");
  return ok();
}

Result<std::vector<std::int32_t>> Session::log() const {
  std::lock_guard lock(core_->mutex);
  HAL_CHECK(open_still(*it_));
  return it_->log;
}

Result<SessionStats> Session::stats() const {
  std::lock_guard lock(core_->mutex);
  HAL_CHECK(open_still(*it_));
  return stats_of(*it_);
}

}  // namespace switchyard::scheduler
