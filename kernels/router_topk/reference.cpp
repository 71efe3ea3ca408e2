#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/router_topk/router_topk.h"

namespace switchyard::kernels::router_topk {

Status reference(ReferenceArgs& a) {
  const auto& logits = a.in(0);
  auto& index = a.out(0);
  auto& gate = a.out(1);
  const auto rows = static_cast<std::size_t>(a.in_dim(0, 0)), experts = static_cast<std::size_t>(a.in_dim(0, 1));
  const auto k = static_cast<std::size_t>(a.node.attrs_as<Attrs>().k);
  std::vector<std::size_t> order(experts);
  for (std::size_t t = 0; t < rows; ++t) {
    const double* l = logits.data() + t * experts;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) { return l[x] > l[y]; });
    double sum = 0;
    for (std::size_t j = 0; j < k; ++j) sum += std::exp(l[order[j]] - l[order[0]]);
    for (std::size_t j = 0; j < k; ++j) {
      index[t * k + j] = static_cast<double>(order[j]);
      gate[t * k + j] = std::exp(l[order[j]] - l[order[0]]) / sum;
    }
  }
  return ok();
}

}  // namespace switchyard::kernels::router_topk
