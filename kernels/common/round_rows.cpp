#include "kernels/common/round_rows.h"

#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/rounded_rows.h"

SY_CPU_DECLARE(int8, round_rows_int8)
SY_CPU_DECLARE(bf16, round_rows_bf16)

namespace switchyard::kernels {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(row_count(l.args_as<RoundParams>().rows, dims.data())), 1, 1};
}

}  // namespace

Rounding rounding_int8(int isa) {
  static constexpr auto table = SY_CPU_TABLE(int8, round_rows_int8);
  return {table[static_cast<std::size_t>(isa)], int8_row_bytes};
}
Rounding rounding_bf16(int isa) {
  static constexpr auto table = SY_CPU_TABLE(bf16, round_rows_bf16);
  return {isa < static_cast<int>(table.size()) ? table.data()[isa] : nullptr, bf16_row_bytes};
}

std::uint32_t add_round_rows(const Segment& s, std::uint32_t value, const Rounding& rounding, Lowered& lowered) {
  const auto [call, row_bytes] = rounding;
  for (const Launch& l : lowered.launches)
    if (l.call == call && l.arguments[0].value == value) return l.arguments[1].value;
  const auto& shape = s.values[value].shape;
  const auto k = static_cast<std::uint32_t>(shape[1].max);
  lowered.temporaries.push_back({DType::u8, {shape[0], Dim::fixed(row_bytes(k))}});
  const auto rounded = static_cast<std::uint32_t>(s.values.size() + lowered.temporaries.size() - 1);
  Launch l;
  l.call = call;
  l.entry = "round_rows";
  l.grid = grid;
  l.set_args(RoundParams{k, cpu_rows(shape[0])});
  l.arguments = {{value}, {rounded, 0, 0, true}};
  lowered.launches.push_back(std::move(l));
  return rounded;
}

}  // namespace switchyard::kernels
