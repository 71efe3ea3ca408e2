#include <algorithm>
#include <cmath>

#include "kernels/common/sequences.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::ssm_scan {

Status reference(ReferenceArgs& args) {
  const auto at = args.node.attrs_as<Attrs>();
  const auto &xbc = args.in(0), &dt_raw = args.in(1), &dt_bias = args.in(2), &a = args.in(3), &d = args.in(4);
  auto& state = args.in(6);
  auto& y = args.out(0);
  const std::int64_t H = at.heads, P = at.head_dim, G = at.groups, N = at.state, width = H * P + 2 * G * N,
                     slot = H * P * N;
  for (const Sequence& q : sequences_of(args, 5)) {
    std::vector<double> s(state.begin() + q.slot_in * slot, state.begin() + (q.slot_in + 1) * slot);
    for (std::int64_t t = q.row_begin; t < q.row_begin + q.rows; ++t)
      for (std::int64_t h = 0; h < H; ++h) {
        const double v = dt_raw[t * args.in_dim(1, 1) + at.dt_offset + h] + dt_bias[h];
        const double softplus = v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v));
        const double dt = std::clamp(softplus, double(at.dt_min), double(at.dt_max));
        const double decay = std::exp(dt * a[h]);
        const double* B = &xbc[t * width + H * P + h / (H / G) * N];
        const double* C = B + G * N;
        for (std::int64_t p = 0; p < P; ++p) {
          const double x = xbc[t * width + h * P + p];
          double sum = 0;
          for (std::int64_t n = 0; n < N; ++n) {
            double& e = s[(h * P + p) * N + n];
            e = decay * e + dt * x * B[n];
            sum += C[n] * e;
          }
          y[(t * H + h) * P + p] = sum + d[h] * x;
        }
      }
    std::copy(s.begin(), s.end(), state.begin() + q.slot_out * slot);
  }
  return ok();
}

}  // namespace switchyard::kernels::ssm_scan
