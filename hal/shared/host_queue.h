// A queue run by one host thread: waits for the points of any backend, runs the commands, signals.
// A backend supplies `execute`, called on that thread with one submission at a time, in order, after its waits.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "hal/program.h"

namespace switchyard::hal {

class HostQueue final : public Queue {
 public:
  // submission.timing is null where none was asked for; execute fills begin, end and, if want_spans, spans.
  using Execute = std::function<Status(const Submission& submission)>;
  // keep_alive: usually the device, so that it outlives its queues' work.
  HostQueue(Execute execute, std::shared_ptr<const void> keep_alive);
  ~HostQueue() override;
  Status submit(Submission submission) override;

 private:
  void work(const std::stop_token& stop);
  void run(Submission& submission);

  Execute execute_;
  std::shared_ptr<const void> keep_alive_;
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<Submission> pending_;
  std::jthread thread_;
};

// Host steady clock, as used in Timing.
std::chrono::nanoseconds steady_now();

}  // namespace switchyard::hal
