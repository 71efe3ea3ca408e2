#include "scheduler/solve/relaxed.h"

#include <algorithm>
#include <cmath>

namespace switchyard::scheduler {

double Relaxed::crossing(std::size_t border, std::size_t from, std::size_t to) const {
  const std::size_t at = f_.at(from, to);
  double v = f_.move[border][at];
  if (const double* taken = f_.moved[border])
    for (std::size_t r = 0; r < f_.rows; ++r) v += price_[r] * taken[at * f_.rows + r];
  return v;
}

double Relaxed::solve(const Scope& scope, const std::vector<double>& price, Effort& effort) {
  const std::size_t places = f_.places;
  price_ = price;
  priced_ = f_.cost;
  for (std::size_t r = 0; r < price.size(); ++r) {
    const double* takes = r < f_.rows ? f_.by_row.data() + r * f_.options() : scope.cuts[r - f_.rows]->takes.data();
    for (std::size_t o = 0; o < f_.options() && price[r] > 0; ++o) priced_[o] += price[r] * takes[o];
  }
  rest_.assign(f_.units * places, never);
  entered_.assign(f_.units * places, never);
  best_.assign(f_.units * places, 0);
  path_.clear();
  refund_ = 0;
  for (std::size_t r = 0; r < price.size(); ++r) refund_ += price_[r] * scope.limit[r];
  for (std::size_t u = f_.units; u-- > 0;) {
    double* rest = rest_.data() + u * places;
    double* entered = entered_.data() + u * places;
    for (std::size_t k = 0; k < places; ++k) {
      if (u + 1 == f_.units) {
        rest[k] = crossing(u + 1, k, f_.host());
        continue;
      }
      const double* next = entered + places;
      for (std::size_t j = 0; j < places; ++j) rest[k] = std::min(rest[k], crossing(u + 1, k, j) + next[j]);
    }
    for (std::size_t o = f_.first[u]; o < f_.first[u + 1]; ++o) {
      if (scope.gone[o]) continue;
      const double v = priced_[o];
      const std::size_t k = f_.place[o];
      if (v + rest[k] < entered[k]) entered[k] = v + rest[k], best_[u * places + k] = o;
    }
  }
  effort.done += static_cast<double>(f_.units * places * places + f_.cost.size() * (4 + price.size()) / 4);
  double total = never;
  std::size_t from = f_.host();
  for (std::size_t u = 0; u < f_.units; ++u) {
    double least = never;
    std::size_t to = 0;
    for (std::size_t j = 0; j < places; ++j)
      if (double v = crossing(u, from, j) + entered_[u * places + j]; v < least) least = v, to = j;
    if (u == 0) total = least;
    if (least == never) {
      path_.clear();
      return never;
    }
    path_.push_back(best_[u * places + to]);
    from = to;
  }
  refund_ += 1e-14 * (std::abs(total) + std::abs(refund_));  // what rounding may have added
  return total - refund_;
}

double Relaxed::cost() const {
  double total = 0;
  std::size_t from = f_.host();
  for (std::size_t u = 0; u < f_.units; ++u) {
    total += f_.cost[path_[u]] + f_.move[u][f_.at(from, f_.place[path_[u]])];
    from = f_.place[path_[u]];
  }
  return total + f_.move[f_.units][f_.at(from, f_.host())];
}

void Relaxed::bounds_with_each(const Scope& scope, std::vector<double>& bound, Effort& effort) {
  const std::size_t places = f_.places;
  bound.assign(f_.cost.size(), never);
  std::vector<double> left(places + 1, never), next(places + 1);  // cheapest up to and with the unit before, by place
  left[f_.host()] = 0;
  for (std::size_t u = 0; u < f_.units; ++u) {
    std::fill(next.begin(), next.end(), never);
    for (std::size_t k = 0; k < places; ++k) {
      double arrived = never;
      for (std::size_t from = u ? 0 : f_.host(); from < (u ? places : places + 1); ++from)
        if (left[from] < never) arrived = std::min(arrived, left[from] + crossing(u, from, k));
      if (arrived == never) continue;
      for (std::size_t o = f_.first[u]; o < f_.first[u + 1]; ++o) {
        if (scope.gone[o] || f_.place[o] != k) continue;
        bound[o] = arrived + priced_[o] + rest(u, k) - refund_;
        next[k] = std::min(next[k], arrived + priced_[o]);
      }
    }
    left.swap(next);
  }
  effort.done += 2 * static_cast<double>(f_.units * places * places + f_.cost.size());
}

}  // namespace switchyard::scheduler
