// Watchdog: tells of steps that take far longer than predicted, while they still run. Ticker: the one thread that calls
// all the poll() there are.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "scheduler/serve/now.h"

namespace switchyard::scheduler {

struct LateStep {
  std::string device, what;  // as begun
  double predicted_seconds = 0;
  std::chrono::nanoseconds allowed{}, taken{};
};

struct WatchdogOptions {
  Now now = steady_now;
  // A step may take factor times what was predicted, but so long always, and no longer than `most`.
  double factor = 10;
  std::chrono::nanoseconds floor = std::chrono::seconds(5), most = std::chrono::minutes(10);
  std::function<void(const LateStep& step)> on_late;  // once per step, from poll(); must not throw
};

// Any thread. Beginning and ending a step is a lock and a node of a map.
class Watchdog {
  struct Steps;

 public:
  // A step under way; it ends when this dies.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&&) = default;
    Watch& operator=(Watch&& other) noexcept;
    ~Watch() { end(); }
    bool late() const;  // it was told of
    void end();

   private:
    friend class Watchdog;
    std::shared_ptr<Steps> steps_;
    std::uint64_t id_ = 0;
  };

  explicit Watchdog(WatchdogOptions options);
  // predicted_seconds: what makes no sense (negative, not a number) counts as 0.
  [[nodiscard]] Watch begin(std::string device, std::string what, double predicted_seconds);
  std::chrono::nanoseconds allowed(double predicted_seconds) const;
  void poll();

 private:
  struct Step {
    std::string device, what;
    double predicted = 0;
    std::chrono::nanoseconds begin{}, allowed{};
    bool late = false;
  };
  struct Steps {
    std::mutex mutex;
    std::uint64_t next = 1;
    std::map<std::uint64_t, Step> under_way;
  };
  WatchdogOptions options_;
  std::shared_ptr<Steps> steps_;
};

// Calls `tick` every `period` on a thread of its own, until it dies.
class Ticker {
 public:
  Ticker(std::chrono::nanoseconds period, std::function<void()> tick);

 private:
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // ends first
};

}  // namespace switchyard::scheduler
