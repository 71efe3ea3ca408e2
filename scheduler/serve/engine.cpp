#include "scheduler/serve/engine.h"

#include <nlohmann/json.hpp>

#include "scheduler/serve/core.h"
#include "scheduler/serve/snapshot.h"
#include "scheduler/serve/worker.h"

namespace switchyard::scheduler {

using namespace hal;

const char* to_string(Event::What what) {
  switch (what) {
    case Event::What::opened: return "opened";
    case Event::What::closed: return "closed";
    case Event::What::moved: return "moved";
    case Event::What::failed: return "failed";
    case Event::What::quarantined: return "quarantined";
    case Event::What::resumed: return "resumed";
    case Event::What::waiting: return "waiting";
  }
  return "unknown";
}

namespace {

Result<ConversationRef> conversation_of(Core& core, const SessionOptions& options) {
  auto c = std::make_shared<Conversation>();
  c->options = options;
  HAL_TRY(c->where,
          where_from(options.pin.empty() ? core.options.pin : options.pin, options.strict, core.placer.machine()));
  HAL_CHECK(check(options.sampling, core.model.config.vocab));
  if (options.context < 0 || options.context > core.options.context)
    return Error{Code::invalid_argument, "a session with a context of " + std::to_string(options.context) +
                                             "; this engine was opened for at most " +
                                             std::to_string(core.options.context)};
  c->context = options.context ? options.context : core.options.context;
  return c;
}

Status start(Core& core, const ConversationRef& c, std::shared_ptr<const SequenceState> state) {
  {
    std::lock_guard lock(core.mutex);
    c->id = core.next_id++;
    c->stats.id = c->id;
  }
  HAL_CHECK(core.settle(c, std::move(state)));
  std::string where;
  {
    std::lock_guard lock(core.mutex);
    core.conversations[c->id] = c;
    if (c->worker) where = c->worker->placement().text();
  }
  core.event(Event::What::opened, c->id, where, "");
  return ok();
}

// What save() wrote beside the state.
Status read_extra(const std::string& text, Conversation& c, std::int64_t vocab) {
  const auto extra = nlohmann::json::parse(text, nullptr, false);
  const Error wrong{Code::io, "snapshot: what it says of its session makes no sense: " + text.substr(0, 200)};
  if (!extra.is_object() || !extra.contains("sampling") || !extra.contains("unread")) return wrong;
  HAL_TRY(c.options.sampling, sampling_from_json(extra["sampling"].dump()));
  HAL_CHECK(check(c.options.sampling, vocab));
  for (const auto& token : extra["unread"]) {
    if (!token.is_number_integer()) return wrong;
    c.log.push_back(token.get<std::int32_t>());
  }
  return check_tokens(c.log, vocab);
}

}  // namespace

Engine::Engine(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<Engine>> Engine::open(models::Model model, probes::Devices& devices,
                                             std::optional<probes::Profile> profile, const EngineOptions& options) {
  if (options.late_factor < 1 || options.late_seconds <= 0 || options.first_rest <= 0 || options.checkpoint_every < 0)
    return Error{Code::invalid_argument,
                 "engine: late_factor " + std::to_string(options.late_factor) + " (at least 1), late_seconds " +
                     std::to_string(options.late_seconds) + " and first_rest " + std::to_string(options.first_rest) +
                     " (above 0), checkpoint_every " + std::to_string(options.checkpoint_every) + " (0 or more)"};
  if (auto where = where_from(options.pin, false, devices.machine()); !where) return where.error();
  auto core = std::make_shared<Core>(std::move(model), devices, std::move(profile), options);
  core->watcher = std::jthread([c = core.get()](const std::stop_token& stop) { c->watch(stop); });
  return std::unique_ptr<Engine>(new Engine(std::move(core)));
}

Engine::~Engine() {
  core_->watcher.request_stop();
  core_->watcher.join();
  std::vector<std::shared_ptr<Worker>> workers;
  std::vector<ConversationRef> open;
  {
    std::lock_guard one(core_->opening);
    std::lock_guard lock(core_->mutex);
    core_->closing = true;
    for (const auto& [key, worker] : core_->workers) {
      worker->stop();
      workers.push_back(worker);
    }
    for (const auto& [id, c] : core_->conversations) {
      core_->end(*c, Finish::cancelled, {});
      c->closed = true;
      c->changed.notify_all();
      open.push_back(c);
    }
    core_->moved.notify_all();
  }
  for (const auto& worker : workers) worker->join();
  {
    std::lock_guard lock(core_->mutex);
    for (const auto& c : open) c->worker = nullptr;
    core_->conversations.clear();
    core_->workers.clear();
  }
  for (const auto& c : open) core_->give(c);
}

Result<std::unique_ptr<Session>> Engine::create(const SessionOptions& options) {
  HAL_TRY(const ConversationRef c, conversation_of(*core_, options));
  HAL_CHECK(start(*core_, c, nullptr));
  return std::unique_ptr<Session>(new Session(core_, c));
}

Result<std::unique_ptr<Session>> Engine::load(const std::filesystem::path& path, const SessionOptions& options) {
  HAL_TRY(const ConversationRef c, conversation_of(*core_, options));
  const SnapshotExpectation expected = snapshot_expectation(core_->model, core_->options.kv, core_->options.context);
  HAL_TRY(Snapshot snapshot, load_snapshot(path, &expected));
  c->log = snapshot.state.log;
  HAL_CHECK(read_extra(snapshot.extra, *c, core_->model.config.vocab));
  if (static_cast<std::int64_t>(c->log.size()) > c->context)
    return Error{Code::invalid_argument, path.string() + ": a session of " + std::to_string(c->log.size()) +
                                             " tokens; the context is " + std::to_string(c->context)};
  c->given = c->shown = c->from = c->log.size();
  auto state = std::make_shared<const SequenceState>(std::move(snapshot.state));
  c->kept = state;
  HAL_CHECK(start(*core_, c, std::move(state)));
  return std::unique_ptr<Session>(new Session(core_, c));
}

const models::Model& Engine::model() const { return core_->model; }

std::vector<PlacementReport> Engine::placements() const {
  std::lock_guard lock(core_->mutex);
  std::vector<PlacementReport> all;
  for (const auto& [key, worker] : core_->workers) all.push_back(worker->report());
  return all;
}

std::vector<SessionStats> Engine::sessions() const {
  std::lock_guard lock(core_->mutex);
  std::vector<SessionStats> all;
  for (const auto& [id, c] : core_->conversations) all.push_back(stats_of(*c));
  return all;
}

}  // namespace switchyard::scheduler
