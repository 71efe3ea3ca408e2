// A queue run by one host thread: waits for the points of any backend, runs the commands, signals.
// A backend supplies `execute`, called on that thread with one submission's commands, in order, after its waits.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>

#include "hal/program.h"

namespace switchyard::hal {

class HostQueue final : public Queue {
 public:
  // timing is null where none was asked for; execute fills begin, end and, if want_spans, spans.
  using Execute = std::function<Status(std::span<const Command> commands, Timing* timing)>;
  using ExecuteAll = std::function<Status(const Submission& submission)>;  // the same, for one that looks at the points
  // keep_alive: usually the device, so that it outlives its queues' work.
  HostQueue(Execute execute, std::shared_ptr<const void> keep_alive);
  HostQueue(ExecuteAll execute, std::shared_ptr<const void> keep_alive);
  ~HostQueue() override;
  Status submit(Submission submission) override;

 private:
  void work(const std::stop_token& stop);
  void run(Submission& submission);

  ExecuteAll execute_;
  std::shared_ptr<const void> keep_alive_;
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Submission> pending_;
  std::jthread thread_;
};

// Host steady clock, as used in Timing.
std::chrono::nanoseconds steady_now();

}  // namespace switchyard::hal
