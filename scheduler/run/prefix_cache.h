// PrefixCache: sequences kept for those that begin with the same tokens: their pages are shared, their states used
// again.
#pragma once
#include <list>

#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

// One thread at a time, the executor's. Dies before its executor.
class PrefixCache {
 public:
  struct Counters {
    std::int64_t hits = 0, misses = 0;  // of reuse()
    std::int64_t tokens = 0;            // that need not run again
    std::int64_t dropped = 0;
  };

  // Keeps `most` prefixes at most; beyond, the one that was least recently used goes.
  PrefixCache(Executor& executor, std::size_t most) : executor_(executor), most_(most) {}

  // Keeps the sequence as it is now, with its checkpoints, as a fork of it: no copy. One with the same log is replaced.
  hal::Status keep(Sequence& sequence);
  // A new sequence whose log is the longest beginning of `tokens` that is kept, but not all of them: the last must run
  // to give logits. A beginning of a kept log counts as far as Executor::reach() goes. With an empty log: none is.
  hal::Result<std::unique_ptr<Sequence>> reuse(std::span<const std::int32_t> tokens);
  // Drops the least recently used until so many bytes of state have come free, or nothing is left. How many have; what
  // living sequences share does not.
  hal::Bytes release(hal::Bytes bytes);

  std::size_t size() const { return kept_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  void drop_last();

  Executor& executor_;
  std::size_t most_;
  std::list<std::unique_ptr<Sequence>> kept_;  // the most recently used first
  Counters counters_;
};

}  // namespace switchyard::scheduler
