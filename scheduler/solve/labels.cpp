#include "scheduler/solve/labels.h"

#include <algorithm>
#include <array>
#include <bit>

namespace switchyard::scheduler {
namespace {

template <std::size_t N>
struct LabelOf {
  double cost = 0;
  double priced = 0;       // the cost with the prices of what it takes
  double bound = 0;        // of every placement that begins like this
  std::uint64_t used = 0;  // devices whose fixed part is paid
  std::uint32_t option = 0, before = 0;
  std::array<double, N> taken{};  // of every row; from the last row on 0
};

template <class Label>
bool dominates(const Label& a, const Label& b, std::size_t rows) {
  if (a.cost > b.cost || (b.used & ~a.used)) return false;  // a must not have to pay for a device that b has paid for
  for (std::size_t r = 0; r < rows; ++r)
    if (a.taken[r] > b.taken[r]) return false;
  return true;
}

template <class Label>
bool cheaper(const Label& a, const Label& b) {
  return a.cost != b.cost ? a.cost < b.cost : a.taken < b.taken;
}
template <class Label>
bool better(const Label& a, const Label& b) {
  return a.bound < b.bound;
}

// Keeps the `width` best; returns the smallest bound of the others.
template <class Label>
double cut(std::vector<Label>& labels, std::size_t width) {
  if (labels.size() <= width) return never;
  const auto end = labels.begin() + static_cast<std::ptrdiff_t>(width);
  std::nth_element(labels.begin(), end, labels.end(), better<Label>);
  const double least = std::min_element(end, labels.end(), better<Label>)->bound;
  labels.resize(width);
  return least;
}

// With up to two rows: of the labels so far, all cheaper, those that take least, as a falling staircase.
class Staircase {
 public:
  // Whether some label takes no more; if none does, this one is added.
  bool covers(double first, double second) {
    const auto after = std::upper_bound(steps_.begin(), steps_.end(), first,
                                        [](double x, const auto& step) { return x < step.first; });
    if (after != steps_.begin() && std::prev(after)->second <= second) return true;
    auto begin = after != steps_.begin() && std::prev(after)->first == first ? std::prev(after) : after, end = begin;
    while (end != steps_.end() && end->second >= second) ++end;
    if (begin == end) {
      steps_.insert(begin, {first, second});
    } else {
      *begin = {first, second};
      steps_.erase(begin + 1, end);
    }
    return false;
  }

 private:
  std::vector<std::pair<double, double>> steps_;
};

template <class Label>
void drop_dominated(std::vector<Label>& labels, std::size_t rows, Effort& effort) {
  std::sort(labels.begin(), labels.end(), cheaper<Label>);
  effort.done += static_cast<double>(12 * labels.size());
  std::vector<std::pair<std::uint64_t, Staircase>> stairs;  // by the devices used; few of them
  std::size_t kept = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Label& label = labels[i];
    bool dominated = false;
    if (rows <= 2) {
      auto same = std::find_if(stairs.begin(), stairs.end(), [&](const auto& s) { return s.first == label.used; });
      if (same == stairs.end()) same = stairs.insert(stairs.end(), {label.used, {}});
      dominated = same->second.covers(label.taken[0], label.taken[1]);
    } else {
      // The latest are the nearest in cost, and the likeliest to take less.
      for (std::size_t k = kept; k-- > 0 && !dominated;) {
        dominated = dominates(labels[k], label, rows);
        effort.done += 1;
      }
    }
    if (dominated) continue;
    if (kept != i) labels[kept] = label;
    ++kept;
  }
  labels.resize(kept);
}

// A row for labels.
struct LabelRow {
  const double* takes;  // [option]
  double limit;
};

template <std::size_t N>
double search_by(const Flat& f, const Scope& scope, const std::vector<LabelRow>& row, const Relaxed& relaxed,
                 const std::vector<double>& price, std::uint64_t free, std::size_t width, Search& search,
                 Effort& effort) {
  using Label = LabelOf<N>;
  const std::size_t rows = row.size();
  const std::uint64_t charged = f.charged & ~free;
  std::vector<double> least((f.units + 1) * rows, 0);  // of each row, taken from unit u on at least
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t u = f.units; u-- > 0;) {
      double smallest = never;
      for (std::size_t o = f.first[u]; o < f.first[u + 1]; ++o)
        if (!scope.gone[o]) smallest = std::min(smallest, row[r].takes[o]);
      least[u * rows + r] = least[(u + 1) * rows + r] + smallest;
    }
  }
  auto limit = [&] { return search.best_cost - 1e-9 * std::abs(search.best_cost); };
  // A placement as cheap as the best known needs no label: the bound is never more than the best.
  auto worth_it = [&](const Label& l) { return search.best_cost == never || l.bound < limit(); };
  double dropped = never;
  std::vector<std::vector<Label>> levels(f.units);
  std::vector<std::vector<Label>> by_place(f.places);
  const std::vector<Label> start(1);
  for (std::size_t u = 0; u < f.units; ++u) {
    const std::vector<Label>& before = u ? levels[u - 1] : start;
    for (auto& labels : by_place) labels.clear();
    for (std::size_t o = f.first[u]; o < f.first[u + 1]; ++o) {
      if (scope.gone[o]) continue;
      const std::size_t k = f.place[o];
      const double after = relaxed.rest(u, k) - relaxed.refund();
      for (std::size_t i = 0; i < before.size(); ++i) {
        Label l = before[i];
        const std::size_t crossing = f.at(u ? f.place[l.option] : f.host(), k);
        l.option = static_cast<std::uint32_t>(o);
        l.before = static_cast<std::uint32_t>(i);
        l.cost += f.cost[o] + f.move[u][crossing];
        l.priced += relaxed.priced(o) + relaxed.crossing(u, u ? f.place[before[i].option] : f.host(), k);
        for (std::size_t r = 0; r < rows; ++r) l.taken[r] += row[r].takes[o];
        for (std::size_t r = 0; r < f.rows && f.moved[u]; ++r) l.taken[r] += f.moved[u][crossing * f.rows + r];
        for (std::uint64_t due = f.devices[o] & charged & ~l.used; due; due &= due - 1) {
          const double* once = f.taken_once(static_cast<std::size_t>(std::countr_zero(due)));
          for (std::size_t r = 0; r < f.rows; ++r) l.taken[r] += once[r], l.priced += price[r] * once[r];
        }
        l.used |= f.devices[o] & charged;
        l.bound = l.priced + after;
        bool possible = true;
        for (std::size_t r = 0; r < rows; ++r)
          possible = possible && l.taken[r] + least[(u + 1) * rows + r] <= row[r].limit;
        if (possible && worth_it(l)) by_place[k].push_back(l);
      }
      effort.done += static_cast<double>(before.size() * (10 + 3 * rows));
    }
    // Comparing all with all is dear: what is much worse than what will be kept goes first.
    std::vector<Label>& level = levels[u];
    const std::size_t share = 4 * std::max<std::size_t>(16, width / std::max<std::size_t>(1, f.places));
    for (auto& labels : by_place) {
      dropped = std::min(dropped, cut(labels, share));
      drop_dominated(labels, rows, effort);
      level.insert(level.end(), labels.begin(), labels.end());
    }
    dropped =
        std::min(dropped, cut(level, effort.left() || search.best.empty() ? width : std::min<std::size_t>(width, 16)));
    if (level.empty()) return std::min(dropped, search.best_cost);
  }
  const auto& last = levels.back();
  double best = never;
  std::size_t at = last.size();
  for (std::size_t i = 0; i < last.size(); ++i) {
    const std::size_t leaving = f.at(f.place[last[i].option], f.host());
    bool possible = true;
    for (std::size_t r = 0; r < f.rows && f.moved[f.units]; ++r)
      possible = possible && last[i].taken[r] + f.moved[f.units][leaving * f.rows + r] <= scope.limit[r];
    const double cost = last[i].cost + f.move[f.units][leaving];
    if (possible && cost < best) best = cost, at = i;
  }
  if (at == last.size()) return std::min(dropped, search.best_cost);
  std::vector<std::size_t> x(f.units);
  for (std::size_t u = f.units; u-- > 0;) {
    x[u] = levels[u][at].option;
    at = levels[u][at].before;
  }
  search.offer(x);
  return std::min({dropped, best, search.best_cost});
}

}  // namespace

double search_labels(const Flat& f, const Scope& scope, const Relaxed& relaxed, const std::vector<double>& price,
                     std::uint64_t free, std::size_t width, Search& search, Effort& effort) {
  // What a part has in common counts as a row: what keeps it must not be dominated by what does not.
  std::vector<LabelRow> rows;
  for (std::size_t r = 0; r < scope.limit.size(); ++r)
    if (r < f.rows)
      rows.push_back({f.by_row.data() + r * f.options(), scope.limit[r]});
    else if (scope.cuts[r - f.rows]->counts)
      rows.push_back({scope.cuts[r - f.rows]->takes.data(), scope.limit[r]});
  if (rows.size() <= 4) return search_by<4>(f, scope, rows, relaxed, price, free, width, search, effort);
  if (rows.size() <= 8) return search_by<8>(f, scope, rows, relaxed, price, free, width, search, effort);
  if (rows.size() <= 12) return search_by<12>(f, scope, rows, relaxed, price, free, width, search, effort);
  if (rows.size() <= 16) return search_by<16>(f, scope, rows, relaxed, price, free, width, search, effort);
  if (rows.size() <= 24) return search_by<24>(f, scope, rows, relaxed, price, free, width, search, effort);
  return -never;
}

}  // namespace switchyard::scheduler
