#include "hal/shared/host_queue.h"

namespace switchyard::hal {

std::chrono::nanoseconds steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch());
}

HostQueue::HostQueue(Execute execute, std::shared_ptr<const void> keep_alive)
    : execute_(std::move(execute)),
      keep_alive_(std::move(keep_alive)),
      thread_([this](std::stop_token stop) { work(stop); }) {}

HostQueue::~HostQueue() {
  thread_.request_stop();
  arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status HostQueue::submit(Submission submission) {
  {
    std::lock_guard lock(mutex_);
    pending_.push_back(std::move(submission));
  }
  arrived_.notify_one();
  return ok();
}

void HostQueue::work(const std::stop_token& stop) {
  for (;;) {
    Submission next;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, stop, [&] { return !pending_.empty(); });
      if (pending_.empty()) return;  // asked to stop, and all submitted work is done
      next = std::move(pending_.front());
      pending_.pop_front();
    }
    run(next);
  }
}

void HostQueue::run(Submission& submission) {
  auto attempt = [&]() -> Status {
    for (const Point& p : submission.wait) HAL_CHECK(p.timeline->wait(p.value, std::chrono::nanoseconds::max()));
    Timing* timing = submission.timing.get();
    if (timing) timing->begin = steady_now();
    HAL_CHECK(execute_(submission));
    if (timing && timing->end == std::chrono::nanoseconds{}) timing->end = steady_now();
    return ok();
  };
  Status status = attempt();
  // Release what the submission kept before anyone can observe its end.
  submission.commands.clear();
  for (const Point& p : submission.signal) {
    if (!status) {
      p.timeline->fail(status.error());
    } else if (Status signalled = p.timeline->signal(p.value); !signalled) {
      p.timeline->fail(signalled.error());
    }
  }
}

}  // namespace switchyard::hal
