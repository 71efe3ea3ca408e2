#include "scheduler/run/prefix_cache.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;

void PrefixCache::drop_last() {
  kept_.pop_back();
  ++counters_.dropped;
}

Status PrefixCache::keep(Sequence& sequence) {
  if (most_ == 0 || sequence.log().empty()) return ok();
  HAL_TRY(auto fork, executor_.fork(sequence));
  kept_.remove_if([&](const auto& known) { return known->log() == sequence.log(); });
  kept_.push_front(std::move(fork));
  if (kept_.size() > most_) drop_last();
  return ok();
}

Result<std::unique_ptr<Sequence>> PrefixCache::reuse(std::span<const std::int32_t> tokens) {
  auto best = kept_.end();
  std::size_t longest = 0;
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    const std::vector<std::int32_t>& log = (*it)->log();
    const auto most = std::min(log.size(), tokens.empty() ? 0 : tokens.size() - 1);
    const auto differ = std::mismatch(log.begin(), log.begin() + static_cast<std::ptrdiff_t>(most), tokens.begin());
    const std::size_t length = executor_.reach(**it, static_cast<std::size_t>(differ.first - log.begin()));
    if (length <= longest) continue;
    longest = length;
    best = it;
  }
  if (best == kept_.end()) {
    ++counters_.misses;
    return executor_.create_sequence();
  }
  kept_.splice(kept_.begin(), kept_, best);
  HAL_TRY(auto made, executor_.fork(*kept_.front()));
  const auto beyond = static_cast<std::int64_t>(made->log().size() - longest);
  if (auto back = executor_.rollback(*made, beyond); !back) return back.error();
  ++counters_.hits;
  counters_.tokens += static_cast<std::int64_t>(longest);
  return made;
}

Bytes PrefixCache::release(Bytes bytes) {
  const Bytes before = executor_.state_use().bytes;
  Bytes freed = 0;
  while (!kept_.empty() && freed < bytes) {
    drop_last();
    freed = before - executor_.state_use().bytes;
  }
  return freed;
}

}  // namespace switchyard::scheduler
