#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/common/sequences.h"

namespace switchyard::kernels::causal_conv1d {
namespace {

Case make(const char* name, std::int64_t channels, std::int64_t taps, std::int64_t width, std::int32_t offset,
          bool bias, const std::vector<Part>& parts, std::int64_t slots, double scale = 1, bool timed = false) {
  SegmentBuilder b;
  const std::int64_t rows = rows_of(parts), count = static_cast<std::int64_t>(parts.size());
  auto x = b.input(DType::f32, {Dim::open(sym_rows, 1, rows), Dim::fixed(width)});
  auto weight = b.constant(DType::f32, {channels, taps}, 1, {}, nullptr);
  auto beta = bias ? b.constant(DType::f32, {channels}, 2, {}, nullptr) : no_value;
  auto sequences = b.input(DType::i32, {Dim::open(sym_sequences, 1, count), Dim::fixed(Sequence::width)});
  auto window = b.state(DType::f32, {Dim::fixed(slots), Dim::fixed(taps - 1), Dim::fixed(channels)});
  b.output(append(b, x, weight, beta, sequences, window, offset));
  return {name,
          b.take(),
          {rows, count},
          {{x, {-scale, scale, {}}},
           {sequences, sequence_fill(parts)},
           {window, state_fill(slots, (taps - 1) * channels, -scale, scale)}},
          timed,
          !timed};
}

}  // namespace

std::vector<Case> cases() {
  return {
      make("one_row_fresh", 8, 4, 8, 0, true, {{1, 0, 1, 0}}, 2),
      make("one_row_in_place", 8, 4, 8, 0, true, {{1, 1, 1, 5}}, 2),
      make("two_rows_shorter_than_window", 33, 4, 40, 7, true, {{2, 1, 2, 9}}, 3),
      make("prefill", 96, 4, 96, 0, true, {{37, 0, 1, 0}}, 2),
      make("no_bias", 70, 4, 70, 0, false, {{5, 1, 1, 3}}, 2),
      make("mixed", 80, 4, 123, 21, true, mixed_parts(), mixed_slots),
      make("mixed_two_taps", 17, 2, 20, 3, true, mixed_parts(), mixed_slots),
      make("mixed_three_taps", 19, 3, 19, 0, true, mixed_parts(), mixed_slots),
      make("hot", 64, 4, 64, 0, true, mixed_parts(), mixed_slots, 100),
      make("decode_many", 144, 4, 300, 100, true, std::vector<Part>(1, {1, 1, 1, 2}), 2),
      make("granite_h_tiny_512", 3328, 4, 6448, 3072, true, {{512, 0, 1, 0}}, 2, 1, true),
      make("granite_h_tiny_1", 3328, 4, 6448, 3072, true, {{1, 1, 1, 100}}, 2, 1, true),
      make("granite_h_micro_512", 4352, 4, 8512, 4096, true, {{512, 0, 1, 0}}, 2, 1, true),
  };
}

}  // namespace switchyard::kernels::causal_conv1d
