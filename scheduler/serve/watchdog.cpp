#include "scheduler/serve/watchdog.h"

#include <algorithm>
#include <vector>

namespace switchyard::scheduler {

Watchdog::Watchdog(WatchdogOptions options) : options_(std::move(options)), steps_(std::make_shared<Steps>()) {}

Watchdog::Watch& Watchdog::Watch::operator=(Watch&& other) noexcept {
  end();
  steps_ = std::move(other.steps_);
  id_ = other.id_;
  return *this;
}

void Watchdog::Watch::end() {
  if (!steps_) return;
  {
    std::lock_guard lock(steps_->mutex);
    steps_->under_way.erase(id_);
  }
  steps_.reset();
}

bool Watchdog::Watch::late() const {
  if (!steps_) return false;
  std::lock_guard lock(steps_->mutex);
  return steps_->under_way.at(id_).late;
}

std::chrono::nanoseconds Watchdog::allowed(double predicted_seconds) const {
  const double nanoseconds = options_.factor * predicted_seconds * 1e9;
  if (!(nanoseconds > static_cast<double>(options_.floor.count()))) return options_.floor;
  if (nanoseconds >= static_cast<double>(options_.most.count())) return options_.most;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds));
}

Watchdog::Watch Watchdog::begin(std::string device, std::string what, double predicted_seconds) {
  Watch watch;
  watch.steps_ = steps_;
  std::lock_guard lock(steps_->mutex);
  watch.id_ = steps_->next++;
  steps_->under_way[watch.id_] = {std::move(device), std::move(what), predicted_seconds, options_.now(),
                                  allowed(predicted_seconds)};
  return watch;
}

void Watchdog::poll() {
  std::vector<LateStep> late;
  {
    std::lock_guard lock(steps_->mutex);
    const auto now = options_.now();
    for (auto& [id, step] : steps_->under_way) {
      if (step.late || now - step.begin <= step.allowed) continue;
      step.late = true;
      late.push_back({step.device, step.what, step.predicted, step.allowed, now - step.begin});
    }
  }
  if (options_.on_late)
    for (const LateStep& step : late) options_.on_late(step);
}

Ticker::Ticker(std::chrono::nanoseconds period, std::function<void()> tick)
    : thread_([this, period, tick = std::move(tick)](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (!stopped_.wait_for(lock, stop, period, [&] { return stop.stop_requested(); })) {
          lock.unlock();
          tick();
          lock.lock();
        }
      }) {}

}  // namespace switchyard::scheduler
