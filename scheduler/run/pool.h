// Numbers handed out and taken back, lowest first: recurrent-state slots, KV pages.
#pragma once
#include <cstdint>
#include <set>

namespace switchyard::scheduler {

class NumberPool {
 public:
  explicit NumberPool(std::int32_t first) : next_(first) {}
  std::int32_t take() {
    if (free_.empty()) return next_++;
    std::int32_t n = *free_.begin();
    free_.erase(free_.begin());
    return n;
  }
  void give_back(std::int32_t n) { free_.insert(n); }
  std::int32_t end() const { return next_; }  // all numbers ever handed out are below this

 private:
  std::int32_t next_;
  std::set<std::int32_t> free_;
};

}  // namespace switchyard::scheduler
