#include <cmath>

#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::kernels::rmsnorm {

Status reference(ReferenceArgs& a) {
  const auto& x = a.in(0);
  const auto& weight = a.in(1);
  auto& y = a.out(0);
  const auto attrs = a.node.attrs_as<Attrs>();
  const std::int64_t rows = a.in_dim(0, 0), width = a.in_dim(0, 1), part = width / attrs.groups;
  for (std::int64_t t = 0; t < rows; ++t) {
    std::vector<double> v(x.begin() + t * width, x.begin() + (t + 1) * width);
    if (a.has(2))
      for (std::int64_t i = 0; i < width; ++i) {
        const double g = a.in(2)[t * a.in_dim(2, 1) + attrs.gate_offset + i];
        v[i] *= g / (1 + std::exp(-g));
      }
    for (std::int64_t g = 0; g < attrs.groups; ++g) {
      double sum = 0;
      for (std::int64_t i = g * part; i < (g + 1) * part; ++i) sum += v[i] * v[i];
      const double scale = 1 / std::sqrt(sum / static_cast<double>(part) + static_cast<double>(attrs.eps));
      for (std::int64_t i = g * part; i < (g + 1) * part; ++i) y[t * width + i] = weight[i] * v[i] * scale;
    }
  }
  return ok();
}

}  // namespace switchyard::kernels::rmsnorm
