#include <cmath>

#include "kernels/common/sequences.h"
#include "kernels/ssm_scan/ssm_scan.h"

namespace switchyard::kernels::ssm_scan {
namespace {

struct Extra {
  double dt_lo = -4, dt_hi = 2, scale = 1;
  std::int64_t pad = 0;  // columns of dt before dt_raw, and half as many behind
  float dt_min = 0.0f, dt_max = 3.4e38f;
  bool timed = false;
};

Case make(const char* name, Attrs at, const std::vector<Part>& parts, std::int64_t slots, const Extra& e = {}) {
  SegmentBuilder b;
  const std::int64_t rows = rows_of(parts), count = static_cast<std::int64_t>(parts.size());
  const std::int64_t H = at.heads, P = at.head_dim, G = at.groups, N = at.state;
  at.dt_offset = static_cast<std::int32_t>(e.pad);
  at.dt_min = e.dt_min;
  at.dt_max = e.dt_max;
  Dim t = Dim::open(sym_rows, 1, rows);
  auto xbc = b.input(DType::f32, {t, Dim::fixed(H * P + 2 * G * N)});
  auto dt = b.input(DType::f32, {t, Dim::fixed(e.pad + H + e.pad / 2)});
  auto dt_bias = b.constant(DType::f32, {H}, 1, {}, nullptr);
  auto a = b.constant(DType::f32, {H}, 2, {}, nullptr);
  auto d = b.constant(DType::f32, {H}, 3, {}, nullptr);
  auto sequences = b.input(DType::i32, {Dim::open(sym_sequences, 1, count), Dim::fixed(Sequence::width)});
  auto state = b.state(DType::f32, {Dim::fixed(slots), Dim::fixed(H), Dim::fixed(P), Dim::fixed(N)});
  b.output(append(b, xbc, dt, dt_bias, a, d, sequences, state, at));
  Fill decay;  // from a memory of 400 steps to none, evenly in the logarithm
  for (std::int64_t h = 0; h < H; ++h)
    decay.values.push_back(-0.0025 * std::pow(55 / 0.0025, H > 1 ? double(h) / double(H - 1) : 0.3));
  return {name,
          b.take(),
          {rows, count},
          {{xbc, {-e.scale, e.scale, {}}},
           {dt, {e.dt_lo, e.dt_hi, {}}},
           {a, decay},
           {sequences, sequence_fill(parts)},
           {state, state_fill(slots, H * P * N, -e.scale, e.scale)}},
          e.timed,
          !e.timed};
}

}  // namespace

std::vector<Case> cases() {
  const Attrs tiny{48, 64, 1, 128}, micro{64, 64, 1, 128};
  Extra extreme, limits, offset, hot, timed;
  extreme.dt_lo = -30, extreme.dt_hi = 30;
  limits.dt_lo = -8, limits.dt_hi = 8, limits.dt_min = 0.001f, limits.dt_max = 0.1f;
  offset.pad = 10;
  hot.scale = 50, hot.dt_lo = -2, hot.dt_hi = 3;
  timed.timed = true;
  std::vector<Part> decode8;
  for (std::int32_t i = 1; i <= 8; ++i) decode8.push_back({1, i, i, 100});
  return {
      make("one_step_fresh", {4, 16, 1, 32}, {{1, 0, 1, 0}}, 2),
      make("one_step_in_place", {4, 16, 1, 32}, {{1, 1, 1, 5}}, 2),
      make("one_step_moved", {3, 8, 1, 16}, {{1, 1, 2, 5}}, 3),
      make("prefill_64", {6, 16, 1, 32}, {{64, 0, 1, 0}}, 2),
      make("prefill_200_long_memory", {2, 8, 1, 16}, {{200, 1, 1, 7}}, 2),
      make("mixed", {4, 16, 1, 32}, mixed_parts(), mixed_slots),
      make("mixed_groups", {12, 8, 4, 16}, mixed_parts(), mixed_slots, offset),
      make("mixed_dt_extreme", {8, 16, 2, 16}, mixed_parts(), mixed_slots, extreme),
      make("mixed_dt_limits", {8, 16, 1, 16}, mixed_parts(), mixed_slots, limits),
      make("mixed_hot", {4, 16, 1, 32}, mixed_parts(), mixed_slots, hot),
      make("odd_sizes", {5, 7, 1, 11}, mixed_parts(), mixed_slots, offset),
      make("granite_state", {2, 64, 1, 128}, {{3, 0, 1, 0}, {1, 2, 2, 9}}, 3),
      make("many_rows", {3, 64, 1, 128}, {{37, 0, 1, 0}, {16, 2, 2, 4}, {17, 3, 4, 9}, {100, 5, 5, 1}}, 6),
      make("many_rows_groups", {4, 32, 2, 64}, {{20, 0, 1, 0}, {41, 2, 3, 4}}, 4, offset),
      make("many_rows_dt_extreme", {2, 32, 1, 128}, {{70, 1, 1, 5}}, 2, extreme),
      make("many_rows_wide_state", {2, 32, 1, 256}, {{19, 1, 2, 3}}, 3),
      make("wide_state", {2, 16, 1, 256}, {{5, 1, 2, 3}}, 3),
      make("granite_h_tiny_512", tiny, {{512, 0, 1, 0}}, 2, timed),
      make("granite_h_tiny_1", tiny, {{1, 1, 1, 100}}, 2, timed),
      make("granite_h_tiny_8x1", tiny, decode8, 9, timed),
      make("granite_h_micro_512", micro, {{512, 0, 1, 0}}, 2, timed),
      make("granite_h_micro_1", micro, {{1, 1, 1, 100}}, 2, timed),
  };
}

}  // namespace switchyard::kernels::ssm_scan
