#include "kernels/common/round_rows.h"

#include "kernels/common/cpu/int8_rows.h"
#include "kernels/common/cpu/isa.h"

SY_CPU_INT8_DECLARE(round_rows)

namespace switchyard::kernels {
namespace {

std::array<std::uint32_t, 3> grid(const Launch& l, Dims dims) {
  return {static_cast<std::uint32_t>(row_count(l.args_as<RoundParams>().rows, dims.data())), 1, 1};
}

}  // namespace

std::uint32_t add_round_rows(const Segment& s, std::uint32_t value, int isa, Lowered& lowered) {
  static constexpr hal::Call table[] = SY_CPU_INT8_TABLE(round_rows);
  const hal::Call call = table[isa];
  for (const Launch& l : lowered.launches)
    if (l.call == call && l.arguments[0].value == value) return l.arguments[1].value;
  const auto& shape = s.values[value].shape;
  const auto k = static_cast<std::uint32_t>(shape[1].max);
  lowered.temporaries.push_back({DType::u8, {shape[0], Dim::fixed(rounded_row_bytes(k))}});
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
