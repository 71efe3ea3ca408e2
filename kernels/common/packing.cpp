#include "kernels/common/packing.h"

#include <algorithm>

#include "kernels/common/quant.h"

namespace switchyard::kernels {
namespace {

using hal::Bytes;
using hal::DType;

std::uint32_t scale_words(std::int64_t blocks) { return static_cast<std::uint32_t>((blocks + 1) / 2); }

// Blocks of a 2-byte scale and `quants` bytes: all scales first, then all quants.
void split_scales(const std::byte* from, std::byte* to, std::size_t blocks, std::size_t quants) {
  std::byte* q = to + 4 * std::size_t{scale_words(static_cast<std::int64_t>(blocks))};
  if (blocks % 2) std::memset(to + 2 * blocks, 0, 2);
  for (std::size_t b = 0; b < blocks; ++b, from += 2 + quants) {
    std::memcpy(to + 2 * b, from, 2);
    std::memcpy(q + quants * b, from + 2, quants);
  }
}

void pack_row(DType dtype, const std::byte* from, std::size_t bytes, std::byte* to, std::size_t packed) {
  switch (dtype) {
    case DType::q8_0: return split_scales(from, to, bytes / 34, 32);
    case DType::q4_0: return split_scales(from, to, bytes / 18, 16);
    case DType::q6_k:
      for (std::size_t b = 0; b < bytes / 210; ++b) {
        std::memcpy(to + 212 * b, from + 210 * b, 210);
        std::memset(to + 212 * b + 210, 0, 2);
      }
      return;
    default: std::memcpy(to, from, bytes); std::memset(to + bytes, 0, packed - bytes);
  }
}

}  // namespace

std::uint32_t row_words(DType dtype, std::int64_t k) {
  if (!is_weight_type(dtype) || hal::row_bytes(dtype, k) == 0) return 0;
  auto blocks = k / hal::block(dtype).elements;
  switch (dtype) {
    case DType::q8_0: return scale_words(blocks) + static_cast<std::uint32_t>(blocks * 8);
    case DType::q4_0: return scale_words(blocks) + static_cast<std::uint32_t>(blocks * 4);
    case DType::q6_k: return static_cast<std::uint32_t>(blocks * 53);
    default: return static_cast<std::uint32_t>((hal::row_bytes(dtype, k) + 3) / 4);
  }
}

hal::Packing rows32(const hal::Segment& segment, std::uint32_t value) {
  const hal::Tensor& t = segment.values[value];
  const DType dtype = t.dtype;
  const std::int64_t k = t.shape.empty() ? 0 : t.shape.back().max;
  const Bytes packed_row = Bytes{4} * row_words(dtype, k), source_row = hal::row_bytes(dtype, k);
  const Bytes rows = k ? static_cast<Bytes>(hal::max_elements(t) / k) : 0;
  hal::Packing p{{value}, "rows32", rows * packed_row, {}};
  p.pack = [=](std::span<const std::span<const std::byte>> source, std::span<std::byte> packed) -> hal::Status {
    if (source.size() != 1 || source[0].size() != rows * source_row || packed.size() < rows * packed_row)
      return hal::Error{hal::Code::invalid_argument,
                        "rows32: " + std::to_string(source.empty() ? 0 : source[0].size()) + " bytes of " +
                            hal::to_string(dtype) + " into " + std::to_string(packed.size()) + ", expected " +
                            std::to_string(rows * source_row) + " into " + std::to_string(rows * packed_row)};
    if (source_row == packed_row && dtype != DType::q8_0 && dtype != DType::q4_0) {
      if (rows) std::memcpy(packed.data(), source[0].data(), rows * source_row);
      return hal::ok();
    }
    for (Bytes r = 0; r < rows; ++r)
      pack_row(dtype, source[0].data() + r * source_row, source_row, packed.data() + r * packed_row, packed_row);
    return hal::ok();
  };
  return p;
}

hal::Status add_rows32(const hal::Segment& segment, std::uint32_t value, hal::Lowered& lowered) {
  if (value == hal::no_value || !segment.constant(value)) return hal::ok();
  for (const hal::Packing& p : lowered.packings)
    if (std::find(p.constants.begin(), p.constants.end(), value) != p.constants.end()) {
      if (p.layout == "rows32") return hal::ok();
      return hal::Error{hal::Code::internal,
                        "value " + std::to_string(value) + " is packed as " + p.layout + " already"};
    }
  hal::Packing p = rows32(segment, value);
  if (p.bytes == 0)
    return hal::Error{hal::Code::internal, "rows32 cannot hold a row of value " + std::to_string(value)};
  lowered.packings.push_back(std::move(p));
  return hal::ok();
}

}  // namespace switchyard::kernels
