#include "scheduler/plan/search.h"

#include <algorithm>
#include <cmath>

namespace switchyard::scheduler {

void Search::set(const Placement& x) {
  x_ = x;
  used_ = bytes_of(c_, x);
  count_.assign(c_.devices, 0);
  for (auto d : x) ++count_[d];
}

void Search::put(std::size_t u, std::size_t d) {
  std::size_t old = x_[u];
  bool leaves = --count_[old] == 0, arrives = ++count_[d] == 1;
  for (std::size_t p = 0; p < c_.pools; ++p)
    used_[p] += c_.bytes_at(u, d, p) - c_.bytes_at(u, old, p) + (arrives ? c_.fixed_at(d, p) : 0) -
                (leaves ? c_.fixed_at(old, p) : 0);
  x_[u] = d;
}

double Search::around(std::size_t u, std::size_t d) const {
  return c_.cost_at(u, d) + (u ? c_.move_at(u, x_[u - 1], d) : c_.enter[d]) +
         (u + 1 < c_.units ? c_.move_at(u + 1, d, x_[u + 1]) : c_.leave[d]);
}

double Search::over() const {
  double total = 0;
  for (std::size_t p = 0; p < c_.pools; ++p)
    if (used_[p] > c_.capacity[p])
      total += static_cast<double>(used_[p] - c_.capacity[p]) / std::max(1.0, static_cast<double>(c_.capacity[p]));
  return total;
}

std::size_t Search::random(std::size_t n) {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  return static_cast<std::size_t>((state_ >> 11) % n);
}

void Search::offer(const Placement& x) {
  if (x.empty() || !fits(c_, x)) return;
  double cost = cost_of(c_, x);
  if (cost < best_cost) best_cost = cost, best = x;
}

// The move that frees most memory for its price, again and again.
bool Search::repair() {
  for (std::size_t round = 0; round < 4 * c_.units; ++round) {
    double now = over();
    if (now <= 0) return true;
    double best_score = never;
    std::size_t best_unit = 0, best_device = 0;
    for (std::size_t u = 0; u < c_.units; ++u)
      for (std::size_t d = 0, old = x_[u]; d < c_.devices; ++d) {
        if (d == old || c_.cost_at(u, d) == never) continue;
        double extra = around(u, d) - around(u, old);
        put(u, d);
        double gain = now - over();
        put(u, old);
        if (gain <= 1e-15) continue;
        double score = extra <= 0 ? extra : extra / gain;
        if (score < best_score) best_score = score, best_unit = u, best_device = d;
      }
    if (best_score == never) return false;
    put(best_unit, best_device);
  }
  return over() <= 0;
}

// First better neighbour, until there is none: one unit elsewhere, or two at once where one alone would not fit.
void Search::descend() {
  auto better = [&](double extra) { return extra < -1e-12; };
  for (bool again = true; again;) {
    again = false;
    for (std::size_t u = 0; u < c_.units; ++u)
      for (std::size_t d = 0; d < c_.devices; ++d) {
        std::size_t old = x_[u];
        if (d == old || !better(around(u, d) - around(u, old))) continue;
        put(u, d);
        if (over() > 0)
          put(u, old);
        else
          again = true;
      }
    for (std::size_t u = 0; u < c_.units && !again; ++u)
      for (std::size_t d = 0; d < c_.devices && !again; ++d) {
        std::size_t old = x_[u];
        if (d == old || c_.cost_at(u, d) == never) continue;
        double first = around(u, d) - around(u, old);
        put(u, d);
        for (std::size_t v = 0; v < c_.units && !again; ++v)
          for (std::size_t e = 0, was = x_[v]; v != u && e < c_.devices; ++e) {
            if (e == was || !better(first + around(v, e) - around(v, was))) continue;
            put(v, e);
            if (over() <= 0) {
              again = true;
              break;
            }
            put(v, was);
          }
        if (!again) put(u, old);
      }
  }
}

void Search::repair_and_offer(const Placement& x) {
  if (x.empty()) return;
  set(x);
  if (!repair()) return;
  offer(x_);
  descend();
  offer(x_);
}

void Search::improve(int rounds) {
  for (int round = 0; round < rounds && !best.empty(); ++round) {
    set(best);
    std::size_t device = random(c_.devices), length = 1 + random(std::max<std::size_t>(2, c_.units / 4));
    length = std::min(length, c_.units);
    std::size_t first = random(c_.units - length + 1), stride = 1 + random(2);
    for (std::size_t u = first; u < first + length; u += stride)
      if (c_.cost_at(u, device) < never) put(u, device);
    if (!repair()) continue;
    descend();
    offer(x_);
  }
}

Placement Search::least_overcommitted(const Placement& from) {
  set(from);
  repair();
  return x_;
}

namespace {

struct Label {
  double cost = 0;
  double bound = 0;  // of every placement that begins like this
  std::uint64_t used = 0;
  std::vector<std::int64_t> bytes;
  std::size_t device = 0, before = 0;
};

bool dominates(const Label& a, const Label& b) {
  if (a.cost > b.cost || (b.used & ~a.used)) return false;  // a must not have to pay for a device that b has paid for
  for (std::size_t p = 0; p < a.bytes.size(); ++p)
    if (a.bytes[p] > b.bytes[p]) return false;
  return true;
}

}  // namespace

double search_labels(const Chain& c, const std::vector<double>& price, const std::vector<double>& rest,
                     std::size_t limit, Search& search) {
  std::vector<std::vector<Label>> levels(c.units);
  std::vector<std::vector<std::int64_t>> least(c.units + 1,
                                               std::vector<std::int64_t>(c.pools, 0));  // of the units from here on
  for (std::size_t u = c.units; u-- > 0;)
    for (std::size_t p = 0; p < c.pools; ++p) {
      std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
      for (std::size_t d = 0; d < c.devices; ++d)
        if (c.cost_at(u, d) < never) smallest = std::min(smallest, c.bytes_at(u, d, p));
      least[u][p] = least[u + 1][p] + smallest;
    }
  double priced_capacity = 0;
  for (std::size_t p = 0; p < c.pools; ++p) priced_capacity += price[p] * static_cast<double>(c.capacity[p]);
  double cut = never;  // the smallest bound of what was dropped only for want of room
  const Label start{0, 0, 0, std::vector<std::int64_t>(c.pools, 0), 0, 0};
  for (std::size_t u = 0; u < c.units; ++u) {
    std::vector<Label> level;
    for (std::size_t d = 0; d < c.devices; ++d) {
      if (c.cost_at(u, d) == never) continue;
      std::vector<Label> fresh;
      std::size_t count = u ? levels[u - 1].size() : 1;
      for (std::size_t i = 0; i < count; ++i) {
        const Label& from = u ? levels[u - 1][i] : start;
        Label l = from;
        l.before = i;
        l.device = d;
        l.cost += c.cost_at(u, d) + (u ? c.move_at(u, from.device, d) : c.enter[d]);
        l.bound = l.cost + rest[u * c.devices + d] - priced_capacity;
        bool possible = l.cost < never;
        for (std::size_t p = 0; p < c.pools; ++p) {
          l.bytes[p] += c.bytes_at(u, d, p) + (from.used >> d & 1 ? 0 : c.fixed_at(d, p));
          possible = possible && l.bytes[p] + least[u + 1][p] <= c.capacity[p];
          l.bound += price[p] * static_cast<double>(l.bytes[p]);
        }
        l.used |= std::uint64_t{1} << d;
        // Rounding of the prices must not throw the optimum away.
        if (possible && l.bound < search.best_cost + 1e-9 * std::abs(search.best_cost)) fresh.push_back(std::move(l));
      }
      std::sort(fresh.begin(), fresh.end(),
                [](const Label& a, const Label& b) { return a.cost != b.cost ? a.cost < b.cost : a.bytes < b.bytes; });
      std::size_t first = level.size();
      for (Label& l : fresh)
        if (std::none_of(level.begin() + static_cast<std::ptrdiff_t>(first), level.end(),
                         [&](const Label& k) { return dominates(k, l); }))
          level.push_back(std::move(l));
    }
    if (level.size() > limit) {
      std::nth_element(level.begin(), level.begin() + static_cast<std::ptrdiff_t>(limit), level.end(),
                       [](const Label& a, const Label& b) { return a.bound < b.bound; });
      for (std::size_t i = limit; i < level.size(); ++i) cut = std::min(cut, level[i].bound);
      level.resize(limit);
    }
    levels[u] = std::move(level);
    if (levels[u].empty()) return std::min(cut, search.best_cost);
  }
  const auto& last = levels.back();
  double best = never;
  std::size_t at = 0;
  for (std::size_t i = 0; i < last.size(); ++i)
    if (double cost = last[i].cost + c.leave[last[i].device]; cost < best) best = cost, at = i;
  Placement x(c.units);
  for (std::size_t u = c.units; u-- > 0;) {
    x[u] = levels[u][at].device;
    at = levels[u][at].before;
  }
  search.offer(x);
  return std::min({cut, best, search.best_cost});
}

}  // namespace switchyard::scheduler
