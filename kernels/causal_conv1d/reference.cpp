#include <cmath>

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::causal_conv1d {

Status reference(ReferenceArgs& a) {
  const auto& x = a.in(0);
  const auto& weight = a.in(1);
  auto& window = a.in(4);
  auto& y = a.out(0);
  const std::int64_t width = a.in_dim(0, 1), channels = a.in_dim(1, 0), taps = a.in_dim(1, 1);
  const std::int64_t slot = (taps - 1) * channels, offset = a.node.attrs_as<Attrs>().x_offset;
  for (const Sequence& s : sequences_of(a, 3)) {
    // All columns the sequence sees: its window, then its rows.
    std::vector<double> seen(window.begin() + s.slot_in * slot, window.begin() + (s.slot_in + 1) * slot);
    for (std::int64_t t = 0; t < s.rows; ++t)
      for (std::int64_t c = 0; c < channels; ++c) seen.push_back(x[(s.row_begin + t) * width + offset + c]);
    for (std::int64_t t = 0; t < s.rows; ++t)
      for (std::int64_t c = 0; c < channels; ++c) {
        double v = a.has(2) ? a.in(2)[c] : 0.0;
        for (std::int64_t j = 0; j < taps; ++j) v += weight[c * taps + j] * seen[(t + j) * channels + c];
        y[(s.row_begin + t) * channels + c] = v / (1 + std::exp(-v));
      }
    std::copy(seen.end() - slot, seen.end(), window.begin() + s.slot_out * slot);
  }
  return ok();
}

}  // namespace switchyard::kernels::causal_conv1d
