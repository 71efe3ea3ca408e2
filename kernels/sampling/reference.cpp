#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/sampling/sampling.h"

namespace switchyard::kernels::sampling {

Status reference(ReferenceArgs& a) {
  const auto& logits = a.in(0);
  auto& token = a.out(0);
  const auto rows = static_cast<std::size_t>(a.in_dim(0, 0)), v = static_cast<std::size_t>(a.in_dim(0, 1));
  const auto attrs = a.node.attrs_as<Attrs>();
  std::vector<std::size_t> order(v);
  std::vector<double> p(v);
  for (std::size_t r = 0; r < rows; ++r) {
    const double* l = logits.data() + r * v;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return l[x] > l[y]; });
    token[r] = static_cast<double>(order[0]);
    if (attrs.temperature == 0) continue;
    double total = 0;
    for (std::size_t i = 0; i < v; ++i)
      total += p[i] = std::exp((l[i] - l[order[0]]) / static_cast<double>(attrs.temperature));
    for (double& x : p) x /= total;
    std::size_t count = attrs.top_k > 0 ? std::min(v, static_cast<std::size_t>(attrs.top_k)) : v;
    double set = 0;
    for (std::size_t j = 0; j < count; ++j) {
      set += p[order[j]];
      if (attrs.top_p < 1 && set >= static_cast<double>(attrs.top_p)) count = j + 1;
    }
    double running = 0;
    for (std::size_t j = 0; j < count; ++j) {
      token[r] = static_cast<double>(order[j]);
      running += p[order[j]];
      if (running > a.in(1)[r] * set) break;
    }
  }
  return ok();
}

}  // namespace switchyard::kernels::sampling
