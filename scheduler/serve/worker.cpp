#include "scheduler/serve/worker.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;

namespace {

constexpr int most_failures = 3;  // of steps in a row, on devices that are well

}  // namespace

Result<std::shared_ptr<Worker>> Worker::open(Core& core, const Placement& placement) {
  std::shared_ptr<Worker> worker(new Worker(core, placement));
  std::map<std::string, DeviceRef> opened;
  std::vector<DeviceRef> of_units;
  for (const std::string& id : placement.devices) {
    DeviceRef& device = opened[id];
    if (!device) {
      HAL_TRY(device, core.devices.open(id));
      worker->devices_.push_back(device);
    }
    of_units.push_back(device);
  }
  HAL_TRY(worker->executor_, Executor::open(core.model, std::move(of_units), core.options));
  StepSeconds predicted;  // a decode step for each row: more than it can take
  if (placement.step_seconds)
    predicted = [each = *placement.step_seconds](std::int64_t rows, std::int64_t) {
      return each * static_cast<double>(rows);
    };
  worker->times_.emplace(predicted, core.options.max_rows, core.options.max_sequences);
  worker->thread_ = std::thread([self = worker] {
    self->thread_id_ = std::this_thread::get_id();
    self->loop();
  });
  return worker;
}

Worker::~Worker() {
  if (!thread_.joinable()) return;
  if (on_its_thread()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

Status Worker::attach(std::uint64_t session, const SequenceState* state) {
  auto made = state ? executor_->restore(*state) : executor_->create_sequence();
  if (!made) return made.error();
  sequences_[session] = std::move(*made);
  return ok();
}

Result<SequenceState> Worker::state_of(std::uint64_t session) const {
  const auto found = sequences_.find(session);
  if (found == sequences_.end()) return Error{Code::internal, "session " + std::to_string(session) + " has no state"};
  return executor_->save(*found->second);
}

Status Worker::fork(std::uint64_t session, std::uint64_t to) {
  HAL_TRY(auto made, executor_->fork(*sequences_.at(session)));
  sequences_[to] = std::move(made);
  return ok();
}

Result<RollbackReport> Worker::rollback(std::uint64_t session, std::int64_t tokens) {
  return executor_->rollback(*sequences_.at(session), tokens);
}

bool Worker::post(CommandRef command) {
  if (retired_) return false;
  commands_.push_back(std::move(command));
  wake_.notify_one();
  return true;
}

void Worker::post_detach(std::uint64_t session) {
  auto command = std::make_shared<Command>();
  command->work = [session](Worker& w) {
    w.detach(session);
    return ok();
  };
  (void)post(std::move(command));
}

std::deque<CommandRef> Worker::retire() {
  retired_ = true;
  auto left = std::move(commands_);
  commands_.clear();
  if (running_) left.push_back(std::move(running_));
  running_ = nullptr;
  wake_.notify_one();
  return left;
}

void Worker::stop() {
  stopping_ = true;
  wake_.notify_one();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

PlacementReport Worker::report() const {
  PlacementReport r{placement_.text(), 0, steps_, busy_seconds_, placement_.step_seconds};
  for (const auto& [id, c] : core_->conversations)
    if (c->worker.get() == this) ++r.sessions;
  return r;
}

std::vector<std::string> Worker::unwell() const {
  std::vector<std::string> ids;
  for (const DeviceRef& device : devices_)
    if (!answers(*device)) ids.push_back(device->info().id);
  return ids;
}

void Worker::loop() {
  std::unique_lock lock(core_->mutex);
  const auto& all = core_->conversations;
  while (true) {
    wake_.wait(lock, [&] {
      return stopping_ || retired_ || !commands_.empty() || std::any_of(all.begin(), all.end(), [&](const auto& entry) {
               return entry.second->worker.get() == this && entry.second->ready();
             });
    });
    if (stopping_ || retired_) break;
    if (commands_.empty()) {
      step(next_batch(), lock);
      continue;
    }
    running_ = commands_.front();
    commands_.pop_front();
    const CommandRef command = running_;
    watch_ = core_->watchdog.begin(placement_.text(), "command", core_->options.late_seconds);
    lock.unlock();
    Status done = command->work(*this);
    if (!done && failure_of(done.error())) failed({}, done.error());
    lock.lock();
    watch_.end();
    if (running_ == command) command->done.set_value(std::move(done));  // else it has been answered
    running_ = nullptr;
  }
  auto left = retire();
  lock.unlock();
  for (const CommandRef& c : left) c->done.set_value(std::nullopt);
  sequences_.clear();
}

std::vector<Worker::Item> Worker::next_batch() {
  std::vector<Waiting> waiting;
  bool anybody_decodes = false;
  for (const auto& [id, c] : core_->conversations) {
    if (c->worker.get() != this || !c->ready()) continue;
    const double waited = seconds_since(c->ready_since);
    const bool decoding = c->made() > 0;
    anybody_decodes = anybody_decodes || (decoding && c->options.priority > 0);
    waiting.push_back({id, c->options.priority, c->rows_left(), decoding, seconds_since(c->submitted), waited});
  }
  BatchLimits limits{core_->options.max_rows, core_->options.max_sequences, 0, 10};
  if (anybody_decodes) limits.latency_bound = core_->options.priority_slowdown * times_->seconds(1, 1);
  const auto seconds = [&](std::int64_t rows, std::int64_t sequences) { return times_->seconds(rows, sequences); };
  std::vector<Item> batch;
  for (const Share& share : next_step(waiting, limits, seconds)) {
    const ConversationRef& c = core_->conversations.at(share.id);
    const auto begin = c->log.begin() + c->cached;
    batch.push_back({c, {begin, begin + share.rows}, share.rows == c->rows_left()});
    c->busy = true;
    const double waited = seconds_since(c->ready_since);
    c->stats.waited_seconds += waited;
    core_->count(metric::wait_seconds, c->id, placement_.text(), waited);
    const std::int64_t end = c->cached + share.rows, prompt = static_cast<std::int64_t>(c->from);
    core_->count(metric::prompt_tokens, c->id, placement_.text(),
                 static_cast<double>(std::min(end, prompt) - std::max(c->cached, c->read)));
    c->read = std::max(c->read, end);
  }
  return batch;
}

void Worker::step(std::vector<Item> batch, std::unique_lock<std::mutex>& lock) {
  std::vector<StepItem> items;
  std::int64_t rows = 0;
  for (const Item& s : batch) {
    items.push_back({sequences_.at(s.conversation->id).get(), s.tokens, s.last ? WantLogits::last : WantLogits::none});
    rows += static_cast<std::int64_t>(s.tokens.size());
  }
  const auto sequences = static_cast<std::int64_t>(batch.size());
  const auto begin = Clock::now();
  // Until one has been measured, any step may take long: programs are made, memory is touched for the first time.
  const double expected =
      steps_ || placement_.step_seconds ? times_->seconds(rows, sequences) : core_->options.late_seconds;
  watch_ = core_->watchdog.begin(placement_.text(), "step", expected);
  lock.unlock();
  Result<StepResult> result = executor_->step(items);
  lock.lock();
  watch_.end();
  if (retired_) return;  // given up while it ran: these sessions are elsewhere
  const auto now = Clock::now();
  for (const Item& s : batch) {
    s.conversation->ready_since = now;
    if (result) s.conversation->cached += static_cast<std::int64_t>(s.tokens.size());
    if (!result || !s.last) s.conversation->busy = false;
  }
  if (!result) {
    for (const Item& s : batch) s.conversation->changed.notify_all();
    lock.unlock();
    failed(batch, result.error());
    lock.lock();
    return;
  }
  failures_ = 0;
  ++steps_;
  const double seconds = seconds_since(begin);
  busy_seconds_ += seconds;
  if (core_->options.metrics)
    core_->options.metrics->step(placement_.text(), seconds, steps_ > 1 ? times_->seconds(rows, sequences) : 0);
  times_->add(rows, sequences, seconds);
  lock.unlock();
  for (const std::string& id : placement_.used()) core_->health.report_success(id);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].last) make_token(batch[i].conversation, result->logits[i]);
    keep(batch[i].conversation);
  }
  lock.lock();
}

void Worker::make_token(const ConversationRef& c, std::span<const float> logits) {
  std::unique_lock lock(core_->mutex);
  if (c->active && c->generation.max_tokens > 0) {
    lock.unlock();
    auto token = choose(logits, c->log, c->options.sampling, c->options.mask);
    lock.lock();
    if (c->active && !token) {
      core_->end(*c, std::nullopt, token.error());
    } else if (c->active) {
      c->log.push_back(*token);
      ++c->stats.made_tokens;
      core_->count(metric::made_tokens, c->id, placement_.text());
      const Shown now = shown(std::span(c->log).subspan(c->from), c->generation);
      c->shown = c->from + static_cast<std::size_t>(now.tokens);
      if (now.end == End::max_tokens) {
        core_->end(*c, Finish::length, {});
      } else if (now.end != End::none) {
        core_->end(*c, Finish::stop, {});
      } else if (static_cast<std::int64_t>(c->log.size()) == c->context) {
        core_->end(*c, Finish::context, {});
      }
      c->changed.notify_all();
    }
  } else if (c->active) {
    core_->end(*c, Finish::length, {});
  }
  c->busy = false;
  c->changed.notify_all();
  lock.unlock();
  core_->give(c);
}

void Worker::keep(const ConversationRef& c) {
  const std::int64_t every = core_->options.checkpoint_every;
  {
    std::lock_guard lock(core_->mutex);
    const std::int64_t kept = c->kept ? static_cast<std::int64_t>(c->kept->log.size()) : 0;
    if (every == 0 || c->closed || c->worker.get() != this || c->cached - kept < every) return;
  }
  auto state = state_of(c->id);
  if (!state) return;  // the next step will say what is wrong
  auto kept = std::make_shared<const SequenceState>(std::move(*state));
  std::lock_guard lock(core_->mutex);
  if (c->worker.get() == this) c->kept = std::move(kept);
}

void Worker::failed(const std::vector<Item>& batch, const Error& error) {
  std::vector<std::string> ids = unwell();
  const auto failure = failure_of(error);
  if (ids.empty() && failure) ids = placement_.used();
  for (const Item& s : batch) {
    std::lock_guard lock(core_->mutex);
    ++s.conversation->stats.failures;
  }
  core_->event(Event::What::failed, 0, placement_.text(), describe(error));
  if (!ids.empty()) return core_->retire(*this, ids, failure.value_or(Failure::lost), describe(error));
  if (++failures_ < most_failures) return;  // once more: the executor reads the logs of these sessions again
  failures_ = 0;
  for (const Item& s : batch) {
    {
      std::lock_guard lock(core_->mutex);
      core_->end(*s.conversation, std::nullopt, error);
    }
    core_->give(s.conversation);
  }
}

}  // namespace switchyard::scheduler
