// Numbers handed out and taken back, lowest first, with a count of the users of each: recurrent-state slots, KV pages.
#pragma once
#include <cstdint>
#include <set>
#include <vector>

namespace switchyard::scheduler {

class NumberPool {
 public:
  // Numbers below `first` are everybody's: always shared, never taken or given back.
  explicit NumberPool(std::int32_t first) : first_(first) {}
  std::int32_t take() {
    std::int32_t n = end();
    if (free_.empty()) {
      users_.push_back(0);
    } else {
      n = *free_.begin();
      free_.erase(free_.begin());
    }
    users(n) = 1;
    return n;
  }
  void share(std::int32_t n) {
    if (n >= first_) ++users(n);
  }
  void give_back(std::int32_t n) {
    if (n >= first_ && --users(n) == 0) free_.insert(n);
  }
  bool shared(std::int32_t n) const { return n < first_ || users_[static_cast<std::size_t>(n - first_)] > 1; }
  std::int64_t used() const { return static_cast<std::int64_t>(users_.size() - free_.size()); }
  std::int32_t end() const {  // all numbers ever handed out are below this
    return first_ + static_cast<std::int32_t>(users_.size());
  }

 private:
  std::int32_t& users(std::int32_t n) { return users_[static_cast<std::size_t>(n - first_)]; }

  std::int32_t first_;
  std::vector<std::int32_t> users_;
  std::set<std::int32_t> free_;
};

}  // namespace switchyard::scheduler
