// What the vulkan/launch.cpp of the ops share.
#pragma once
#include <algorithm>
#include <limits>

#include "kernels/common/packing.h"
#include "kernels/op.h"

namespace switchyard::kernels::vulkan {

inline std::uint32_t divide_up(std::uint64_t n, std::uint64_t by) {
  return static_cast<std::uint32_t>((n + by - 1) / by);
}

// n workgroups on two axes, of which every device takes 65535; group_index() in common.glsl is their number, and
// kernels check it against what there is to do.
inline std::array<std::uint32_t, 3> groups(std::uint64_t n) {
  constexpr std::uint64_t wide = 32768;
  if (n <= wide) return {static_cast<std::uint32_t>(n), 1, 1};
  return {static_cast<std::uint32_t>(wide), divide_up(n, wide), 1};
}

// A count that changes from step to step: kernels read it from dims[symbol].
inline std::uint64_t at(Dims dims, std::int32_t symbol) {
  std::int64_t n = dims[static_cast<std::size_t>(symbol)];
  return n > 0 ? static_cast<std::uint64_t>(n) : 0;
}
inline std::int32_t symbol_of(const Segment& s, std::uint32_t value) { return s.values[value].shape[0].symbol; }

// Rows of a matrix that one launch binds, and where their bytes lie. Multiples of 256 rows keep every alignment.
struct RowRange {
  std::uint32_t first = 0, count = 0;
  Bytes offset = 0, bytes = 0;
};
inline std::vector<RowRange> split_rows(std::int64_t rows, Bytes row_bytes, Bytes limit,
                                        std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
  constexpr std::int64_t unit = 256;
  std::int64_t fit = row_bytes ? static_cast<std::int64_t>(limit / row_bytes) : rows;
  fit = std::min(fit, most);
  std::int64_t step = fit >= rows ? rows : fit / unit * unit;
  std::vector<RowRange> ranges;
  for (std::int64_t first = 0; first < rows && step > 0; first += step) {
    auto count = std::min(step, rows - first);
    ranges.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count),
                      static_cast<Bytes>(first) * row_bytes, static_cast<Bytes>(count) * row_bytes});
  }
  return ranges;
}

inline Bytes packed_row_bytes(const Segment& s, std::uint32_t weight) {
  const Tensor& t = s.values[weight];
  return Bytes{4} * row_words(t.dtype, t.shape.back().max);
}

// Why a weight in rows32 cannot be used at all: not one buffer, or not even 256 rows of it in one binding.
inline std::optional<std::string> refuse_weight(const Segment& s, std::uint32_t value, const Info& info,
                                                const char* name, std::int64_t unit_rows = 256) {
  if (value == no_value) return std::nullopt;
  const Bytes row = packed_row_bytes(s, value),
              all = static_cast<Bytes>(max_elements(s.values[value]) / s.values[value].shape.back().max) * row;
  auto text = [&](const char* what, Bytes needs, Bytes has) {
    return std::string(name) + " needs " + std::to_string(needs) + " bytes in " + what + ", " + info.id + " allows " +
           std::to_string(has);
  };
  if (all > info.limits.max_buffer) return text("one buffer", all, info.limits.max_buffer);
  const Bytes part = std::min(all, row * static_cast<Bytes>(unit_rows));
  if (part > info.limits.max_binding) return text("one binding", part, info.limits.max_binding);
  return std::nullopt;
}

// Why a value of fixed size (a state, a computed table) cannot be bound.
inline std::optional<std::string> refuse_binding(const Segment& s, std::uint32_t value, const Info& info,
                                                 const char* name) {
  if (value == no_value || max_bytes(s.values[value]) <= info.limits.max_binding) return std::nullopt;
  return std::string(name) + " covers " + std::to_string(max_bytes(s.values[value])) + " bytes, " + info.id +
         " binds at most " + std::to_string(info.limits.max_binding) + " to one argument";
}

inline std::uint32_t number(DType type) { return static_cast<std::uint32_t>(type); }

// The first reason of several.
template <class... Reasons>
std::optional<std::string> first_of(Reasons... reasons) {
  std::optional<std::string> first;
  ((first = first ? first : reasons), ...);
  return first;
}

}  // namespace switchyard::kernels::vulkan
