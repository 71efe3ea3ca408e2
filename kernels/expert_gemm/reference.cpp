#include <cmath>

#include "kernels/expert_gemm/expert_gemm.h"

namespace switchyard::kernels::expert_gemm {

Status reference(ReferenceArgs& a) {
  const auto& x = a.in(0);
  const auto& down = a.in(5);
  auto& y = a.out(0);
  const std::int64_t rows = a.in_dim(0, 0), d = a.in_dim(0, 1), k = a.in_dim(1, 1), inner = a.in_dim(5, 2);
  const auto attrs = a.node.attrs_as<Attrs>();
  // Row i of the gate (or up) matrix of the expert in `slot`.
  auto dot = [&](bool is_up, std::int64_t slot, std::int64_t i, std::int64_t t) {
    const auto& w = is_up && a.has(4) ? a.in(4) : a.in(3);
    std::int64_t row = a.has(4) ? slot * inner + i : slot * 2 * inner + (is_up ? inner : 0) + i;
    double sum = 0;
    for (std::int64_t c = 0; c < d; ++c) sum += x[t * d + c] * w[row * d + c];
    return sum;
  };
  std::vector<double> hidden(inner), total(d);
  for (std::int64_t t = 0; t < rows; ++t) {
    total.assign(d, 0.0);
    for (std::int64_t j = 0; j < k; ++j) {
      auto expert = static_cast<std::int64_t>(a.in(1)[t * k + j]);
      if (expert < 0 || expert >= attrs.experts)
        return Error{Code::invalid_argument, "expert_gemm: row " + std::to_string(t) + " asks for expert " +
                                                 std::to_string(expert) + " of " + std::to_string(attrs.experts)};
      std::int64_t slot = a.has(6) ? static_cast<std::int64_t>(a.in(6)[expert]) : expert;
      if (slot < 0) continue;
      for (std::int64_t i = 0; i < inner; ++i) {
        double g = dot(false, slot, i, t);
        hidden[i] = g / (1 + std::exp(-g)) * dot(true, slot, i, t);
      }
      for (std::int64_t c = 0; c < d; ++c) {
        double sum = 0;
        for (std::int64_t i = 0; i < inner; ++i) sum += hidden[i] * down[(slot * d + c) * inner + i];
        total[c] += a.in(2)[t * k + j] * sum;
      }
    }
    for (std::int64_t c = 0; c < d; ++c) y[t * d + c] = attrs.scale * total[c] + (a.has(7) ? a.in(7)[t * d + c] : 0.0);
  }
  return ok();
}

}  // namespace switchyard::kernels::expert_gemm
