#include <algorithm>
#include <cmath>

#include "kernels/common/sequences.h"
#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::selective_scan {

Status reference(ReferenceArgs& args) {
  const auto &u = args.in(0), &dt_raw = args.in(1), &dt_bias = args.in(2), &a = args.in(3), &b = args.in(4),
             &c = args.in(5), &d = args.in(6);
  auto& state = args.in(9);
  auto& y = args.out(0);
  const std::int64_t channels = args.in_dim(3, 0), N = args.in_dim(3, 1), slot = channels * N;
  for (const Sequence& q : sequences_of(args, 8)) {
    std::vector<double> s(state.begin() + q.slot_in * slot, state.begin() + (q.slot_in + 1) * slot);
    for (std::int64_t t = q.row_begin; t < q.row_begin + q.rows; ++t)
      for (std::int64_t k = 0; k < channels; ++k) {
        const double v = dt_raw[t * channels + k] + dt_bias[k], x = u[t * channels + k];
        const double dt = v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v));
        double sum = 0;
        for (std::int64_t n = 0; n < N; ++n) {
          double& e = s[k * N + n];
          e = std::exp(dt * a[k * N + n]) * e + dt * x * b[t * N + n];
          sum += c[t * N + n] * e;
        }
        sum += d[k] * x;
        if (args.has(7)) {
          const double z = args.in(7)[t * channels + k];
          sum *= z / (1 + std::exp(-z));
        }
        y[t * channels + k] = sum;
      }
    std::copy(s.begin(), s.end(), state.begin() + q.slot_out * slot);
  }
  return ok();
}

}  // namespace switchyard::kernels::selective_scan
