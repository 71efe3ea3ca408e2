#include <cmath>

#include "kernels/rope/rope.h"

namespace switchyard::kernels::rope {

Status reference(ReferenceArgs& a) {
  const auto at = a.node.attrs_as<Attrs>();
  const auto &x = a.in(0), &positions = a.in(1);
  auto& y = a.out(0);
  const std::int64_t rows = a.in_dim(0, 0), d = at.head_dim, half = d / 2;
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t h = 0; h < at.heads; ++h)
      for (std::int64_t j = 0; j < half; ++j) {
        const double angle = positions[t] * std::pow(double(at.theta), -2.0 * double(j) / double(d));
        const std::int64_t row = (t * at.heads + h) * d;
        const std::int64_t first = row + (at.interleaved ? 2 * j : j),
                           second = row + (at.interleaved ? 2 * j + 1 : j + half);
        y[first] = x[first] * std::cos(angle) - x[second] * std::sin(angle);
        y[second] = x[second] * std::cos(angle) + x[first] * std::sin(angle);
      }
  return ok();
}

}  // namespace switchyard::kernels::rope
