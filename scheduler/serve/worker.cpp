#include "scheduler/serve/worker.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;

namespace {

constexpr int most_failures = 3;  // of steps in a row, on devices that are well

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Clock::duration in_seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}

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
  if (placement.step_seconds) worker->row_seconds_ = *placement.step_seconds;
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
  HAL_TRY(const SequenceState state, state_of(session));
  return attach(to, &state);
}

Status Worker::rollback(std::uint64_t session, std::int64_t tokens) {
  std::unique_ptr<Sequence>& now = sequences_.at(session);
  const std::span<const std::int32_t> log(now->log());
  HAL_TRY(auto fresh, executor_->create_sequence());
  if (const auto left = log.first(log.size() - static_cast<std::size_t>(tokens)); !left.empty()) {
    auto fed = executor_->feed(*fresh, left, WantLogits::none);
    if (!fed) return fed.error();
  }
  now = std::move(fresh);
  return ok();
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
    deadline_ = Clock::now() + in_seconds(core_->options.late_factor * core_->options.late_seconds);
    lock.unlock();
    Status done = command->work(*this);
    if (!done && is_failure(done.error())) failed({}, done.error());
    lock.lock();
    deadline_.reset();
    if (running_ == command) command->done.set_value(std::move(done));  // else it has been answered
    running_ = nullptr;
  }
  auto left = retire();
  lock.unlock();
  for (const CommandRef& c : left) c->done.set_value(std::nullopt);
  sequences_.clear();
}

std::vector<Worker::Share> Worker::next_batch() {
  std::vector<ConversationRef> ready;
  for (const auto& [id, c] : core_->conversations)
    if (c->worker.get() == this && c->ready()) ready.push_back(c);
  // Tokens of those that make them first, then prompts; each kind by priority, then by who has waited longest.
  std::sort(ready.begin(), ready.end(), [](const ConversationRef& a, const ConversationRef& b) {
    return std::tuple(a->rows_left() > 1, -a->options.priority, a->ready_since, a->id) <
           std::tuple(b->rows_left() > 1, -b->options.priority, b->ready_since, b->id);
  });
  std::vector<Share> batch;
  std::int64_t room = core_->options.max_rows;
  for (const ConversationRef& c : ready) {
    if (room == 0 || static_cast<std::int64_t>(batch.size()) == core_->options.max_sequences) break;
    const std::int64_t rows = std::min(room, c->rows_left());
    const auto begin = c->log.begin() + c->cached;
    batch.push_back({c, {begin, begin + rows}, rows == c->rows_left()});
    c->busy = true;
    c->stats.waited_seconds += seconds_since(c->ready_since);
    room -= rows;
  }
  return batch;
}

void Worker::step(std::vector<Share> batch, std::unique_lock<std::mutex>& lock) {
  std::vector<StepItem> items;
  std::int64_t rows = 0;
  for (const Share& s : batch) {
    items.push_back({sequences_.at(s.conversation->id).get(), s.tokens, s.last ? WantLogits::last : WantLogits::none});
    rows += static_cast<std::int64_t>(s.tokens.size());
  }
  const double guess = row_seconds_ > 0 ? row_seconds_ * static_cast<double>(rows) : core_->options.late_seconds;
  const auto begin = Clock::now();
  deadline_ = begin + in_seconds(core_->options.late_seconds + core_->options.late_factor * guess);
  lock.unlock();
  Result<StepResult> result = executor_->step(items);
  lock.lock();
  deadline_.reset();
  if (retired_) return;  // given up while it ran: these sessions are elsewhere
  const auto now = Clock::now();
  for (const Share& s : batch) {
    s.conversation->ready_since = now;
    if (result) s.conversation->cached += static_cast<std::int64_t>(s.tokens.size());
    if (!result || !s.last) s.conversation->busy = false;
  }
  if (!result) {
    for (const Share& s : batch) s.conversation->changed.notify_all();
    lock.unlock();
    failed(batch, result.error());
    lock.lock();
    return;
  }
  failures_ = 0;
  ++steps_;
  const double seconds = seconds_since(begin);
  busy_seconds_ += seconds;
  row_seconds_ = std::max(row_seconds_, seconds / static_cast<double>(rows));
  lock.unlock();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].last) make_token(batch[i].conversation, result->logits[i]);
    keep(batch[i].conversation);
  }
  lock.lock();
}

void Worker::make_token(const ConversationRef& c, std::span<const float> logits) {
  std::unique_lock lock(core_->mutex);
  if (c->active && c->left > 0) {
    lock.unlock();
    auto token = choose(logits, c->log, c->options.sampling, c->options.mask);
    lock.lock();
    if (c->active && !token) {
      core_->end(*c, std::nullopt, token.error());
    } else if (c->active) {
      c->log.push_back(*token);
      ++c->stats.made_tokens;
      --c->left;
      if (std::find(c->stop.begin(), c->stop.end(), *token) != c->stop.end()) {
        core_->end(*c, Finish::stop, {});
      } else if (c->left == 0) {
        core_->end(*c, Finish::length, {});
      } else if (static_cast<std::int64_t>(c->log.size()) == c->context) {
        core_->end(*c, Finish::context, {});
      }
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

void Worker::failed(const std::vector<Share>& batch, const Error& error) {
  std::vector<std::string> ids = unwell();
  if (ids.empty() && is_failure(error)) ids = placement_.used();
  for (const Share& s : batch) {
    std::lock_guard lock(core_->mutex);
    ++s.conversation->stats.failures;
  }
  core_->event(Event::What::failed, 0, placement_.text(), describe(error));
  if (!ids.empty()) return core_->retire(*this, ids, describe(error));
  if (++failures_ < most_failures) return;  // once more: the executor reads the logs of these sessions again
  failures_ = 0;
  for (const Share& s : batch) {
    {
      std::lock_guard lock(core_->mutex);
      core_->end(*s.conversation, std::nullopt, error);
    }
    core_->give(s.conversation);
  }
}

}  // namespace switchyard::scheduler
