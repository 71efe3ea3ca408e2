#include "backends/cpu/pool.h"

#include <algorithm>
#include <cstdlib>

namespace switchyard::backends::cpu {
namespace {

// Longer than the gap between two launches of one step of a model, far shorter than a time slice.
constexpr std::chrono::microseconds spin_time{30};

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Returns once `word` is no longer `old`.
std::uint32_t wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t old) {
  std::uint32_t now = word.load(std::memory_order_acquire);
  if (now != old) return now;
  const auto until = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < 16; ++i) {
      pause();
      now = word.load(std::memory_order_acquire);
      if (now != old) return now;
    }
  } while (std::chrono::steady_clock::now() < until);
  do {
    word.wait(old, std::memory_order_acquire);
    now = word.load(std::memory_order_acquire);
  } while (now == old);
  return now;
}

}  // namespace

hal::Status Scratch::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return hal::ok();
  bytes = (bytes + 4095) / 4096 * 4096;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(64, bytes));
  if (!p)
    return hal::Error{hal::Code::out_of_memory,
                      "thread scratch: " + std::to_string(bytes) + " bytes refused by the system"};
  memory_ = std::shared_ptr<std::byte>(p, [](std::byte* q) { std::free(q); });
  bytes_ = bytes;
  return hal::ok();
}

struct Pool::Job {
  struct Counter {
    alignas(64) std::atomic<std::uint32_t> next{0};
  };
  struct Phase {
    std::uint32_t first = 0, last = 0;               // steps
    alignas(64) std::atomic<std::uint32_t> left{0};  // tiles not yet done
  };
  std::vector<Step> steps;  // owned: a thread may still look at them when run() has returned
  std::unique_ptr<Counter[]> counters;
  std::unique_ptr<Phase[]> phases;
  std::uint32_t phase_count = 0;
  std::atomic<std::uint32_t> phase{0};  // in progress; phase_count: all done
  std::vector<std::chrono::nanoseconds>* phase_ends = nullptr;
};

Pool::Pool(int threads) : threads_(threads), scratch_(static_cast<std::size_t>(threads - 1)) {
  for (int i = 0; i + 1 < threads; ++i) workers_.emplace_back([this, i] { worker(i); });
}

Pool::~Pool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  generation_.fetch_add(1, std::memory_order_seq_cst);  // see work()
  generation_.notify_all();
  for (std::thread& w : workers_) w.join();
}

hal::Status Pool::reserve(std::size_t scratch_bytes) {
  std::lock_guard lock(mutex_);
  for (Scratch& s : scratch_) HAL_CHECK(s.reserve(scratch_bytes));
  return hal::ok();
}

void Pool::worker(int index) {
  std::uint32_t seen = 0;
  for (;;) {
    std::shared_ptr<Job> job;
    Scratch scratch;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      seen = generation_.load(std::memory_order_relaxed);
      for (const auto& j : jobs_)
        if (j->phase.load(std::memory_order_acquire) < j->phase_count) {
          job = j;
          break;
        }
      scratch = scratch_[static_cast<std::size_t>(index)];
    }
    if (job)
      work(*job, scratch.data());
    else
      wait_while(generation_, seen);
  }
}

void Pool::work(Job& job, void* scratch) const {
  std::uint32_t phase = job.phase.load(std::memory_order_acquire);
  while (phase < job.phase_count) {
    Job::Phase& p = job.phases[phase];
    std::uint32_t done = 0;
    for (std::uint32_t s = p.first; s < p.last; ++s) {
      const Step& step = job.steps[s];
      Job::Counter& c = job.counters[s];
      hal::CallArgs args = step.args;
      args.thread_scratch = scratch;
      std::uint32_t first = c.next.load(std::memory_order_relaxed);
      while (first < step.tiles) {
        // Long runs of neighbours first, which read memory in one stream; single tiles at the end, which even out. With
        // half of its even share a core of half the speed is not yet the last to end.
        const std::uint32_t count = std::max(1u, (step.tiles - first) / (2 * static_cast<std::uint32_t>(threads_)));
        if (!c.next.compare_exchange_weak(first, first + count, std::memory_order_relaxed)) continue;
        args.first_tile = first;
        args.last_tile = first + count;
        step.call(&args);
        done += count;
        first = c.next.load(std::memory_order_relaxed);
      }
    }
    if (done != 0 && p.left.fetch_sub(done, std::memory_order_acq_rel) == done) {
      if (job.phase_ends) (*job.phase_ends)[phase] = std::chrono::steady_clock::now().time_since_epoch();
      // Sequentially consistent, so that whether anybody waits is looked at after the store: with less, a processor may
      // swap the two, and a thread that parks in between sleeps for good.
      job.phase.store(phase + 1, std::memory_order_seq_cst);
      job.phase.notify_all();
      ++phase;
    } else {
      phase = wait_while(job.phase, phase);
    }
  }
}

void Pool::run(std::vector<Step> list, const Scratch& mine, std::vector<std::chrono::nanoseconds>* phase_ends) {
  if (list.empty()) return;
  auto job = std::make_shared<Job>();
  job->steps = std::move(list);
  const std::vector<Step>& steps = job->steps;
  job->counters = std::make_unique<Job::Counter[]>(steps.size());
  job->phase_count = 1;
  for (std::size_t s = 1; s < steps.size(); ++s) job->phase_count += steps[s].barrier_before ? 1 : 0;
  job->phases = std::make_unique<Job::Phase[]>(job->phase_count);
  std::uint32_t phase = 0, tiles = 0;
  for (std::uint32_t s = 0; s < steps.size(); ++s) {
    if (s != 0 && steps[s].barrier_before) {
      job->phases[phase++].last = s;
      job->phases[phase].first = s;
      tiles = 0;
    }
    tiles += steps[s].tiles;
    job->phases[phase].left.store(tiles, std::memory_order_relaxed);
  }
  job->phases[phase].last = static_cast<std::uint32_t>(steps.size());
  if (phase_ends) phase_ends->assign(job->phase_count, {});
  job->phase_ends = phase_ends;

  if (threads_ > 1) {
    std::lock_guard lock(mutex_);
    jobs_.push_back(job);
    generation_.fetch_add(1, std::memory_order_seq_cst);  // see work()
  }
  if (threads_ > 1) generation_.notify_all();
  work(*job, mine.data());
  if (threads_ > 1) {
    std::lock_guard lock(mutex_);
    std::erase(jobs_, job);
  }
}

}  // namespace switchyard::backends::cpu
