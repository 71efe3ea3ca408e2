#include "scheduler/serve/step_times.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace switchyard::scheduler {
namespace {

constexpr double least_rate = 0.1;  // of a new step: a memory of ten
constexpr double clip = std::numbers::ln2;

// The exponent of the power of two that reaches n.
std::size_t reaching(std::int64_t n) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1)) - 1));
}
std::int64_t power(std::size_t exponent) { return std::int64_t{1} << exponent; }
std::size_t below(std::int64_t n) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(n))) - 1;
}

}  // namespace

StepTimes::StepTimes(const StepSeconds& predicted, std::int64_t max_rows, std::int64_t max_sequences)
    : lines_(reaching(max_rows) + 1),
      columns_(std::min(reaching(max_sequences) + 1, lines_)),
      knots_(lines_ * columns_) {
  bool right = static_cast<bool>(predicted);
  const auto fill = [&](const auto& seconds) {
    for (std::size_t r = 0; r < lines_; ++r)
      for (std::size_t s = 0; s <= std::min(r, columns_ - 1); ++s) {
        Knot& knot = knots_[index(r, s)];
        knot.predicted = seconds(power(r), power(s));
        right = right && std::isfinite(knot.predicted) && knot.predicted > 0;
      }
  };
  if (predicted) fill(predicted);
  // Reading the weights takes as long as computing 64 rows, and so does what a step costs besides.
  if (!right)
    fill([](std::int64_t r, std::int64_t s) {
      return 1e-4 * static_cast<double>(64 + std::max<std::int64_t>(64, r) + s);
    });
  settle();
}

// The corners of the triangle: cells are cut along the line on which rows and sequences grow alike.
std::array<StepTimes::Corner, 3> StepTimes::around(std::int64_t rows, std::int64_t sequences) const {
  const std::int64_t n = std::clamp<std::int64_t>(rows, 1, power(lines_ - 1));
  const std::int64_t q = std::clamp<std::int64_t>(sequences, 1, std::min(n, power(columns_ - 1)));
  const std::size_t r = below(n), s = below(q);
  const double a = static_cast<double>(n - power(r)) / static_cast<double>(power(r));
  const double b = static_cast<double>(q - power(s)) / static_cast<double>(power(s));
  // A weight of 0 may belong to a corner beyond the grid.
  const std::size_t low = index(r, s), middle = a >= b ? index(r + 1, s) : index(r, s + 1), high = index(r + 1, s + 1);
  return {Corner{low, 1 - std::max(a, b)}, Corner{middle, std::abs(a - b)}, Corner{high, std::min(a, b)}};
}

double StepTimes::seconds(std::int64_t rows, std::int64_t sequences) const {
  double sum = 0;
  for (const Corner& corner : around(rows, sequences))
    if (corner.weight > 0) sum += corner.weight * knots_[corner.knot].seconds;
  return sum;
}

void StepTimes::add(std::int64_t rows, std::int64_t sequences, double seconds) {
  if (!(seconds > 0 && std::isfinite(seconds))) return;
  const double error = std::log(seconds / this->seconds(rows, sequences));
  const auto corners = around(rows, sequences);
  double norm = 0;
  for (const Corner& corner : corners) norm += corner.weight * corner.weight;
  for (const Corner& corner : corners) {
    if (corner.weight == 0) continue;
    Knot& here = knots_[corner.knot];
    here.seen += corner.weight;
    const double rate = std::max(least_rate, 1 / (1 + here.seen)) * corner.weight / norm;
    const double change = known_ ? rate * std::clamp(error, -clip, clip) : error;
    here.seconds *= std::exp(change);
    here.factor = std::log(here.seconds / here.predicted);
    // Those below that would hold it up are wrong, too.
    for (std::size_t r = 0; r <= corner.knot / columns_; ++r)
      for (std::size_t s = 0; s <= std::min(r, corner.knot % columns_); ++s) {
        Knot& knot = knots_[index(r, s)];
        if (knot.predicted * std::exp(knot.factor) <= here.seconds) continue;
        knot.factor = std::log(here.seconds / knot.predicted);
        knot.seen = std::max(knot.seen, std::numeric_limits<double>::min());
      }
  }
  known_ = true;
  settle();
}

void StepTimes::settle() {
  const auto each = [&](auto visit) {
    for (std::size_t r = 0; r < lines_; ++r)
      for (std::size_t s = 0; s <= std::min(r, columns_ - 1); ++s) visit(r, s, knots_[index(r, s)]);
  };
  each([&](std::size_t r, std::size_t s, Knot& knot) {
    if (knot.seen > 0 || !known_) return;
    auto nearest = std::numeric_limits<std::size_t>::max();
    each([&](std::size_t r2, std::size_t s2, const Knot& other) {
      const std::size_t far = std::max(r, r2) - std::min(r, r2) + std::max(s, s2) - std::min(s, s2);
      if (other.seen == 0 || far >= nearest) return;
      nearest = far;
      knot.factor = other.factor;
    });
  });
  each([&](std::size_t r, std::size_t s, Knot& knot) {
    knot.seconds = knot.predicted * std::exp(knot.factor);
    if (s > 0) knot.seconds = std::max(knot.seconds, knots_[index(r, s - 1)].seconds);
    if (r > s) knot.seconds = std::max(knot.seconds, knots_[index(r - 1, s)].seconds);
  });
}

}  // namespace switchyard::scheduler
