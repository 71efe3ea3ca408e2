#include "scheduler/solve/master.h"

#include <algorithm>
#include <cmath>

namespace switchyard::scheduler {
namespace {

constexpr double tiny = 1e-11;  // of the highest price: no saving

}  // namespace

Master::Master(std::size_t rows, double dearest) : rows_(rows), n_(rows + 1), dearest_(dearest), dual_(n_, 0) {}

void Master::add(double cost, const std::vector<double>& over) {
  cost_.push_back(cost);
  over_.insert(over_.end(), over.begin(), over.end());
  if (!basis_.empty()) return;
  // The path alone, with each row's slack or overuse: minus what is over, or what is.
  inverse_.assign(n_ * n_, 0);
  at_.assign(n_, 0);
  for (std::size_t r = 0; r < rows_; ++r) {
    const double sign = over[r] <= 0 ? 1 : -1;
    basis_.push_back((over[r] <= 0 ? slack : overuse) + r);
    inverse_[r * n_ + r] = sign;
    inverse_[r * n_ + rows_] = -sign * over[r];
    at_[r] = std::abs(over[r]);
  }
  basis_.push_back(0);
  inverse_[rows_ * n_ + rows_] = 1;
  at_[rows_] = 1;
  price_all();
}

double Master::cost_of(std::size_t column) const {
  return column >= overuse ? dearest_ : column >= slack ? 0 : cost_[column];
}

double Master::price(std::size_t row) const { return std::clamp(-dual_[row], 0.0, dearest_); }

double Master::value() const {
  double total = 0;
  for (std::size_t i = 0; i < n_; ++i) total += cost_of(basis_[i]) * at_[i];
  return total;
}

double Master::overpaid() const {
  double total = 0;
  for (std::size_t i = 0; i < n_; ++i)
    if (basis_[i] >= overuse) total += dearest_ * at_[i];
  return total;
}

double Master::weight(std::size_t path) const {
  const auto at = std::find(basis_.begin(), basis_.end(), path);
  return at == basis_.end() ? 0 : at_[static_cast<std::size_t>(at - basis_.begin())];
}

double Master::reduced(std::size_t column) const {
  if (column >= overuse) return dearest_ + dual_[column - overuse];
  if (column >= slack) return -dual_[column - slack];
  double v = cost_[column] - dual_[rows_];
  const double* over = over_.data() + column * rows_;
  for (std::size_t r = 0; r < rows_; ++r) v -= dual_[r] * over[r];
  return v;
}

void Master::enter(std::size_t column, std::vector<double>& direction) const {
  for (std::size_t i = 0; i < n_; ++i) {
    const double* row = inverse_.data() + i * n_;
    if (column >= overuse) {
      direction[i] = -row[column - overuse];
    } else if (column >= slack) {
      direction[i] = row[column - slack];
    } else {
      const double* over = over_.data() + column * rows_;
      double v = row[rows_];
      for (std::size_t r = 0; r < rows_; ++r) v += row[r] * over[r];
      direction[i] = v;
    }
  }
}

void Master::pivot(std::size_t row, std::size_t column, const std::vector<double>& direction) {
  double* pivot_row = inverse_.data() + row * n_;
  const double step = at_[row] / direction[row];
  for (std::size_t j = 0; j < n_; ++j) pivot_row[j] /= direction[row];
  for (std::size_t i = 0; i < n_; ++i) {
    if (i == row || direction[i] == 0) continue;
    double* other = inverse_.data() + i * n_;
    for (std::size_t j = 0; j < n_; ++j) other[j] -= direction[i] * pivot_row[j];
    at_[i] = std::max(0.0, at_[i] - direction[i] * step);
  }
  at_[row] = std::max(0.0, step);
  basis_[row] = column;
}

void Master::price_all() {
  std::fill(dual_.begin(), dual_.end(), 0.0);
  for (std::size_t i = 0; i < n_; ++i)
    if (const double c = cost_of(basis_[i]); c != 0)
      for (std::size_t j = 0; j < n_; ++j) dual_[j] += c * inverse_[i * n_ + j];
}

void Master::solve() {
  std::vector<double> direction(n_);
  const double enough = tiny * dearest_;
  price_all();
  for (std::size_t round = 0; round < 20 + 4 * n_; ++round) {
    std::size_t column = overuse;
    double least = -enough;
    auto look = [&](std::size_t c) {
      if (const double v = reduced(c); v < least) least = v, column = c;
    };
    for (std::size_t p = 0; p < size(); ++p) look(p);
    for (std::size_t r = 0; r < rows_; ++r) look(slack + r), look(overuse + r);
    steps_ += static_cast<double>(size() * n_ + 3 * n_ * n_);
    if (least >= -enough) return;
    enter(column, direction);
    std::size_t leaving = n_;
    double nearest = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      if (direction[i] <= 1e-9) continue;
      const double ratio = at_[i] / direction[i];
      if (leaving == n_ || ratio < nearest - 1e-12 || (ratio <= nearest + 1e-12 && direction[i] > direction[leaving]))
        nearest = leaving == n_ ? ratio : std::min(nearest, ratio), leaving = i;
    }
    if (leaving == n_) return;  // by rounding only: shares sum up to 1
    pivot(leaving, column, direction);
    price_all();
  }
}

}  // namespace switchyard::scheduler
