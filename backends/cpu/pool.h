// Threads that do the tiles of launches together. They spin a bounded time for the next piece of work, then park.
//
// A job is a list of steps (one launch each). Steps between two barriers form a phase; any thread takes any tile of the
// phase in progress from a shared counter, so a thread that is descheduled holds up only the tiles it has in hand.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "hal/buffer.h"
#include "hal/call.h"

namespace switchyard::backends::cpu {

// 64-byte aligned memory of one thread, grown as launches ask for it.
class Scratch {
 public:
  hal::Status reserve(std::size_t bytes);
  void* data() const { return memory_.get(); }

 private:
  std::shared_ptr<std::byte> memory_;
  std::size_t bytes_ = 0;
};

struct Step {
  hal::Call call = nullptr;
  hal::CallArgs args{};         // pointers, dims and args set; tiles and thread_scratch are filled in by the pool
  std::uint32_t tiles = 0;      // > 0
  bool barrier_before = false;  // begins a phase
};

class Pool {
 public:
  // threads: of which one is the caller of run(), so threads - 1 are started.
  explicit Pool(int threads);
  ~Pool();
  int threads() const { return threads_; }

  // Makes sure every thread of the pool can give a launch so many bytes. Any thread.
  hal::Status reserve(std::size_t scratch_bytes);

  // Runs the steps; returns when all are done. `mine`: the caller's own scratch. Any number of callers at once: each
  // works on its own job, the pool's threads on the oldest unfinished one. phase_ends: null, or one time per phase to
  // fill.
  void run(std::vector<Step> steps, const Scratch& mine, std::vector<std::chrono::nanoseconds>* phase_ends = nullptr);

 private:
  struct Job;
  void worker(int index);
  void work(Job& job, void* scratch) const;

  const int threads_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Job>> jobs_;    // oldest first
  std::vector<Scratch> scratch_;              // one per worker
  std::atomic<std::uint32_t> generation_{0};  // grows with every job and at the end
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace switchyard::backends::cpu
