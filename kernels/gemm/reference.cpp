#include <cmath>

#include "kernels/gemm/gemm.h"

namespace switchyard::kernels::gemm {

Status reference(ReferenceArgs& a) {
  const auto& x = a.in(0);
  const auto& w = a.in(1);
  auto& y = a.out(0);
  const std::int64_t rows = a.in_dim(0, 0), k = a.in_dim(1, 1), n = a.in_dim(1, 0);
  const double scale = a.node.attrs_as<Attrs>().scale;
  auto dot = [&](const std::vector<double>& m, std::int64_t t, std::int64_t o) {
    double sum = 0;
    for (std::int64_t i = 0; i < k; ++i) sum += x[t * k + i] * m[o * k + i];
    return sum;
  };
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t o = 0; o < n; ++o) {
      double v = dot(w, t, o);
      if (a.has(2)) v = v / (1 + std::exp(-v)) * dot(a.in(2), t, o);
      if (a.has(3)) v += a.in(3)[o];
      y[t * n + o] = scale * v + (a.has(4) ? a.in(4)[t * n + o] : 0.0);
    }
  return ok();
}

}  // namespace switchyard::kernels::gemm
