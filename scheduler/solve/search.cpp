#include "scheduler/solve/search.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace switchyard::scheduler {
namespace {

constexpr double clearly = 1e-12;  // a saving that is not rounding

}  // namespace

void Search::take(std::size_t option, double sign) {
  for (std::size_t r = 0; r < f_.rows; ++r) used_[r] += sign * f_.taken(option)[r];
  pay(option, sign);
}

void Search::pay(std::size_t option, double sign) {
  for (std::uint64_t left = f_.devices[option]; left; left &= left - 1) {
    const auto d = static_cast<std::size_t>(std::countr_zero(left));
    const bool changes = sign > 0 ? count_[d]++ == 0 : --count_[d] == 0;
    if (changes && f_.charged >> d & 1)
      for (std::size_t r = 0; r < f_.rows; ++r) used_[r] += sign * f_.taken_once(d)[r];
  }
}

void Search::moves_beside(std::size_t u, double sign) {
  for (std::size_t b : {u, u + 1}) {
    if (!f_.moved[b]) continue;
    const std::size_t from = b ? f_.place[x_[b - 1]] : f_.host(), to = b < f_.units ? f_.place[x_[b]] : f_.host();
    for (std::size_t r = 0; r < f_.rows; ++r) used_[r] += sign * f_.moved[b][f_.at(from, to) * f_.rows + r];
  }
}

void Search::set(const std::vector<std::size_t>& x) {
  x_ = x;
  f_.take(x, used_);
  count_.assign(64, 0);
  for (auto o : x) pay(o, 1);
}

void Search::put(std::size_t option) {
  const std::size_t u = f_.unit[option];
  moves_beside(u, -1);
  take(x_[u], -1);
  x_[u] = option;
  take(option, 1);
  moves_beside(u, 1);
}

double Search::around(std::size_t option) const {
  const std::size_t u = f_.unit[option];
  const std::size_t from = u ? f_.place[x_[u - 1]] : f_.host(), at = f_.place[option],
                    to = u + 1 < f_.units ? f_.place[x_[u + 1]] : f_.host();
  return f_.cost[option] + f_.move[u][f_.at(from, at)] + f_.move[u + 1][f_.at(at, to)];
}

double Search::over() const {
  double total = 0;
  for (std::size_t r = 0; r < f_.rows; ++r)
    if (used_[r] > f_.limit[r]) total += (used_[r] - f_.limit[r]) / std::max(1.0, f_.limit[r]);
  return total;
}

std::size_t Search::random(std::size_t n) {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  return static_cast<std::size_t>((state_ >> 11) % n);
}

bool Search::offer(const std::vector<std::size_t>& x) {
  if (x.empty()) return false;
  set(x);
  if (over() > 0) return false;
  double cost = 0;
  for (std::size_t u = 0; u < f_.units; ++u)
    cost += f_.cost[x[u]] + f_.move[u][f_.at(u ? f_.place[x[u - 1]] : f_.host(), f_.place[x[u]])];
  cost += f_.move[f_.units][f_.at(f_.place[x.back()], f_.host())];
  if (cost >= best_cost) return false;
  best_cost = cost;
  best = x;
  return true;
}

// The change that frees most for its price, again and again.
bool Search::repair(const Scope& scope, Effort& effort) {
  for (std::size_t round = 0; round < 4 * f_.units; ++round) {
    const double now = over();
    if (now <= 0) return true;
    if (!effort.left() && !best.empty()) return false;
    double best_score = never;
    std::size_t best_option = 0;
    for (std::size_t o = 0; o < f_.cost.size(); ++o) {
      const std::size_t old = x_[f_.unit[o]];
      if (scope.gone[o] || o == old) continue;
      const double more = extra(o);
      put(o);
      const double gain = now - over();
      put(old);
      if (gain <= 1e-15) continue;
      const double score = more <= 0 ? more : more / gain;
      if (score < best_score) best_score = score, best_option = o;
    }
    effort.done += static_cast<double>(f_.cost.size() * (4 + 4 * f_.rows));
    if (best_score == never) return false;
    put(best_option);
  }
  return over() <= 0;
}

// Two changes at once where one alone would not fit. Savings are looked at first, since most pairs save nothing; of
// changes that are alike, two stand for all.
bool Search::exchange(const Scope& scope, Effort& effort) {
  struct Change {
    double extra;
    std::size_t from, to, option;  // from, to: as in Flat::alike
  };
  std::vector<Change> changes;
  for (std::size_t o = 0; o < f_.options(); ++o)
    if (const std::size_t old = x_[f_.unit[o]]; !scope.gone[o] && o != old)
      changes.push_back({extra(o), f_.alike[old], f_.alike[o], o});
  auto key = [](const Change& c) { return std::tie(c.extra, c.from, c.to); };
  std::stable_sort(changes.begin(), changes.end(), [&](const Change& a, const Change& b) { return key(a) < key(b); });
  std::size_t kept = 0;
  for (const Change& c : changes)
    if (kept < 2 || key(changes[kept - 2]) != key(c)) changes[kept++] = c;
  changes.resize(kept);
  effort.done += static_cast<double>(8 * f_.options());
  for (const Change& one : changes) {
    if (!effort.left()) return false;
    const std::size_t u = f_.unit[one.option], old = x_[u];
    put(one.option);
    auto better_with = [&](std::size_t p) {
      const std::size_t was = x_[f_.unit[p]];
      if (p == was || scope.gone[p] || one.extra + extra(p) >= -clearly) return false;
      put(p);
      effort.done += static_cast<double>(4 + 2 * f_.rows);
      if (over() <= 0) return true;
      put(was);
      return false;
    };
    for (const Change& other : changes) {
      if (one.extra + other.extra >= -clearly) break;
      effort.done += 4;
      if (f_.unit[other.option] != u && better_with(other.option)) return true;
    }
    // A neighbour's saving is another one now.
    for (std::size_t v : {u - 1, u + 1})
      for (std::size_t p = v < f_.units ? f_.first[v] : 0; v < f_.units && p < f_.first[v + 1]; ++p) {
        effort.done += 4;
        if (better_with(p)) return true;
      }
    put(old);
  }
  return false;
}

// Better neighbours, until there is none.
void Search::descend(const Scope& scope, Effort& effort) {
  do {
    for (bool again = true; again && effort.left();) {
      again = false;
      for (std::size_t o = 0; o < f_.cost.size(); ++o) {
        const std::size_t old = x_[f_.unit[o]];
        if (scope.gone[o] || o == old || extra(o) >= -clearly) continue;
        put(o);
        if (over() > 0)
          put(old);
        else
          again = true;
      }
      effort.done += static_cast<double>(4 * f_.cost.size());
    }
  } while (effort.left() && exchange(scope, effort));
}

void Search::repair_and_offer(const Scope& scope, const std::vector<std::size_t>& x, Effort& effort) {
  if (x.empty()) return;
  set(x);
  if (!repair(scope, effort)) return;
  offer(std::vector<std::size_t>(x_));
  descend(scope, effort);
  offer(std::vector<std::size_t>(x_));
}

// Options by what they save for what they take, placed while they fit; then the rest in `base`.
std::vector<std::size_t> Search::filled(const Scope& scope, const std::vector<std::size_t>& base, bool by_share) {
  struct Change {
    double worth;
    std::size_t option;
  };
  std::vector<Change> changes;
  for (std::size_t o = 0; o < f_.cost.size(); ++o) {
    const double saved = f_.cost[base[f_.unit[o]]] - f_.cost[o];
    if (scope.gone[o] || saved <= 0) continue;
    double taken = by_share ? 1e-9 : std::max(1.0, f_.most[o]);
    for (std::size_t r = 0; r < f_.rows && by_share; ++r)
      taken = std::max(taken, f_.taken(o)[r] / std::max(1.0, f_.limit[r]));
    changes.push_back({saved / taken, o});
  }
  std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return a.worth != b.worth ? a.worth > b.worth : a.option < b.option;
  });
  used_.assign(f_.rows, 0);
  count_.assign(64, 0);
  std::vector<std::size_t> x = base;
  std::vector<char> placed(f_.units, 0);
  for (const Change& c : changes) {
    const std::size_t u = f_.unit[c.option];
    if (placed[u]) continue;
    take(c.option, 1);
    placed[u] = over() <= 0;
    if (placed[u])
      x[u] = c.option;
    else
      take(c.option, -1);
  }
  return x;
}

void Search::greedy(const Scope& scope, Effort& effort) {
  std::vector<std::vector<std::size_t>> starts;
  for (std::size_t place = 0; place < f_.places; ++place) {
    std::vector<std::size_t> base(f_.units, f_.cost.size());
    for (std::size_t u = 0; u < f_.units; ++u) {
      auto better = [&](std::size_t a, std::size_t b) {
        const bool a_here = f_.place[a] == place, b_here = f_.place[b] == place;
        return a_here != b_here ? a_here : f_.cost[a] < f_.cost[b];
      };
      for (std::size_t o = f_.first[u]; o < f_.first[u + 1]; ++o)
        if (!scope.gone[o] && (base[u] == f_.cost.size() || better(o, base[u]))) base[u] = o;
      if (base[u] == f_.cost.size()) return;
    }
    for (bool by_share : {false, true}) {
      starts.push_back(filled(scope, base, by_share));
      offer(starts.back());
      effort.done += static_cast<double>(f_.cost.size() * (10 + f_.rows));
    }
  }
  const double allowed = effort.allowed;
  effort.allowed = std::min(allowed, effort.done + 0.1 * allowed);
  if (const auto found = best; !found.empty()) repair_and_offer(scope, found, effort);
  for (const auto& start : starts)
    if (effort.left() || best.empty()) repair_and_offer(scope, start, effort);
  effort.allowed = allowed;
}

void Search::improve(const Scope& scope, int rounds, Effort& effort) {
  for (int round = 0; round < rounds && !best.empty() && effort.left(); ++round) {
    set(best);
    const std::size_t place = random(f_.places);
    const std::size_t length = std::min(f_.units, 1 + random(std::max<std::size_t>(2, f_.units / 4)));
    const std::size_t begin = random(f_.units - length + 1), stride = 1 + random(2);
    for (std::size_t u = begin; u < begin + length; u += stride)
      for (std::size_t o = f_.first[u]; o < f_.first[u + 1]; ++o)
        if (!scope.gone[o] && f_.place[o] == place) {
          put(o);
          break;
        }
    if (!repair(scope, effort)) continue;
    descend(scope, effort);
    offer(std::vector<std::size_t>(x_));
  }
}

std::vector<std::size_t> Search::least_overcommitted(const Scope& scope, const std::vector<std::size_t>& from,
                                                     Effort& effort) {
  set(from);
  repair(scope, effort);
  return x_;
}

}  // namespace switchyard::scheduler
