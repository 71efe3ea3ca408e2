#include <cmath>

#include "kernels/common/sequences.h"
#include "kernels/selective_scan/selective_scan.h"

namespace switchyard::kernels::selective_scan {
namespace {

Case make(const char* name, std::int64_t channels, std::int64_t N, bool gated, const std::vector<Part>& parts,
          std::int64_t slots, double dt_lo = -4, double dt_hi = 2, double scale = 1, bool timed = false) {
  SegmentBuilder b;
  const std::int64_t rows = rows_of(parts), count = static_cast<std::int64_t>(parts.size());
  Dim t = Dim::open(sym_rows, 1, rows);
  Inputs in{};
  in.u = b.input(DType::f32, {t, Dim::fixed(channels)});
  in.dt = b.input(DType::f32, {t, Dim::fixed(channels)});
  in.dt_bias = b.constant(DType::f32, {channels}, 1, {}, nullptr);
  in.a = b.constant(DType::f32, {channels, N}, 2, {}, nullptr);
  in.b = b.input(DType::f32, {t, Dim::fixed(N)});
  in.c = b.input(DType::f32, {t, Dim::fixed(N)});
  in.d = b.constant(DType::f32, {channels}, 3, {}, nullptr);
  in.z = gated ? b.input(DType::f32, {t, Dim::fixed(channels)}) : no_value;
  in.sequences = b.input(DType::i32, {Dim::open(sym_sequences, 1, count), Dim::fixed(Sequence::width)});
  in.state = b.state(DType::f32, {Dim::fixed(slots), Dim::fixed(channels), Dim::fixed(N)});
  b.output(append(b, in));
  Fill decay;
  const std::int64_t all = channels * N;
  for (std::int64_t i = 0; i < all; ++i)
    decay.values.push_back(-0.0025 * std::pow(55 / 0.0025, double(i * 7919 % all) / double(all)));
  std::map<std::uint32_t, Fill> fills{{in.u, {-scale, scale, {}}},
                                      {in.dt, {dt_lo, dt_hi, {}}},
                                      {in.a, decay},
                                      {in.sequences, sequence_fill(parts)},
                                      {in.state, state_fill(slots, all, -scale, scale)}};
  if (gated) fills[in.z] = {-6, 6, {}};
  return {name, b.take(), {rows, count}, fills, timed, !timed};
}

}  // namespace

std::vector<Case> cases() {
  return {
      make("one_step_fresh", 24, 16, true, {{1, 0, 1, 0}}, 2),
      make("one_step_in_place", 24, 16, false, {{1, 1, 1, 4}}, 2),
      make("prefill_100", 40, 16, true, {{100, 0, 1, 0}}, 2),
      make("mixed", 64, 16, true, mixed_parts(), mixed_slots),
      make("mixed_no_gate", 33, 16, false, mixed_parts(), mixed_slots),
      make("mixed_dt_extreme", 48, 16, true, mixed_parts(), mixed_slots, -30, 30),
      make("mixed_hot", 32, 16, true, mixed_parts(), mixed_slots, -2, 3, 50),
      make("odd_sizes", 13, 5, true, mixed_parts(), mixed_slots),
      make("wide_state", 20, 64, true, {{6, 1, 2, 3}}, 3),
      make("mamba_130m_512", 1536, 16, true, {{512, 0, 1, 0}}, 2, -4, 2, 1, true),
      make("mamba_130m_1", 1536, 16, true, {{1, 1, 1, 100}}, 2, -4, 2, 1, true),
  };
}

}  // namespace switchyard::kernels::selective_scan
