#include "kernels/common/rows16.h"

#include <algorithm>

#include "kernels/common/cpu/isa.h"
#include "kernels/common/cpu/rows16_layout.h"
#include "kernels/library.h"

namespace switchyard::kernels {
namespace {

using hal::Bytes;
using hal::DType;

constexpr std::size_t lanes = 16;
using Rows = const std::byte* const*;  // sixteen blocks, one of each row
constexpr std::byte zeros[256] = {};   // the block of a row that is not there

// `count` items of Size bytes from each row, side by side.
template <std::size_t Size>
void side_by_side(Rows rows, std::size_t at, std::size_t count, std::byte*& to) {
  for (std::size_t i = 0; i < count; ++i, to += lanes * Size)
    for (std::size_t r = 0; r < lanes; ++r) std::memcpy(to + r * Size, rows[r] + at + i * Size, Size);
}

// The 6-bit scales and minimums of q4_k and q5_k as bytes: 8 of scales, 8 of minimums.
void unpack_scales(const std::byte* b, std::uint8_t* to) {
  std::uint32_t w[3], apart[4];
  std::memcpy(w, b, 12);
  apart[0] = w[0] & 0x3f3f3f3f;
  apart[1] = (w[2] & 0x0f0f0f0f) | (w[0] >> 2 & 0x30303030);
  apart[2] = w[1] & 0x3f3f3f3f;
  apart[3] = (w[2] >> 4 & 0x0f0f0f0f) | (w[1] >> 2 & 0x30303030);
  std::memcpy(to, apart, 16);
}

void pack_block(DType type, Rows rows, std::byte* to) {
  switch (type) {
    case DType::q4_0:
      side_by_side<2>(rows, 0, 1, to);
      side_by_side<4>(rows, 2, 4, to);
      break;
    case DType::q8_0: {
      side_by_side<2>(rows, 0, 1, to);
      std::byte* quants = to;
      side_by_side<4>(rows, 2, 8, to);
      for (std::byte* q = quants; q != to; ++q) *q ^= std::byte{0x80};
      break;
    }
    case DType::q4_k:
    case DType::q5_k: {
      side_by_side<2>(rows, 0, 2, to);
      for (std::size_t r = 0; r < lanes; ++r) {
        std::uint8_t apart[16];
        unpack_scales(rows[r] + 4, apart);
        for (std::size_t i = 0; i < 16; ++i) to[i * lanes + r] = std::byte{apart[i]};
      }
      to += 16 * lanes;
      side_by_side<4>(rows, type == DType::q4_k ? 16 : 48, 32, to);
      if (type == DType::q5_k) side_by_side<4>(rows, 16, 8, to);
      break;
    }
    case DType::bf16: side_by_side<4>(rows, 0, 1, to); break;
    default:  // q6_k
      side_by_side<2>(rows, 208, 1, to);
      side_by_side<1>(rows, 192, 16, to);
      side_by_side<4>(rows, 0, 32, to);
      side_by_side<4>(rows, 128, 16, to);
  }
}

// Bytes of one row's own elements in a piece.
std::size_t source_bytes(DType type) { return hal::row_bytes(type, rows16_layout(type).elements); }

// The form of the kernels that multiply this type (sets.table); empty: none, or not on this device.
std::string_view form_of(DType type, const hal::Info& info) {
  if (rows16_layout(type).elements == 0) return {};
  if (type != DType::bf16) return "int8";
  const bool can =
      std::any_of(cpu_sets_bf16.begin(), cpu_sets_bf16.end(), [&](const CpuSet& set) { return has_words(set, info); });
  return can ? "bf16" : std::string_view{};
}

}  // namespace

Bytes rows16_group_bytes(DType dtype, std::int64_t k) {
  if (rows16_layout(dtype).elements == 0 || k % 32 != 0 || hal::row_bytes(dtype, k) == 0) return 0;
  return rows16_bytes(dtype, static_cast<std::uint32_t>(k));
}

hal::Packing rows16(const hal::Segment& segment, std::uint32_t value) {
  const hal::Tensor& t = segment.values[value];
  const DType type = t.dtype;
  const std::size_t rank = t.shape.size();
  const std::int64_t k = t.shape[rank - 1].max, n = t.shape[rank - 2].max, matrices = rank == 3 ? t.shape[0].max : 1;
  const Bytes row = hal::row_bytes(type, k), group = rows16_group_bytes(type, k);
  const auto groups = static_cast<Bytes>((n + rows16_group - 1) / rows16_group);
  const std::size_t blocks = static_cast<std::size_t>(k / rows16_layout(type).elements),
                    packed_block = rows16_layout(type).bytes, source_block = source_bytes(type);
  hal::Packing p{{value}, "rows16", static_cast<Bytes>(matrices) * groups * group, {}};
  p.pack = [=](std::span<const std::span<const std::byte>> source, std::span<std::byte> packed) -> hal::Status {
    const Bytes wanted = static_cast<Bytes>(matrices * n) * row, room = static_cast<Bytes>(matrices) * groups * group;
    if (source.size() != 1 || source[0].size() != wanted || packed.size() < room)
      return hal::Error{hal::Code::invalid_argument,
                        "rows16: " + std::to_string(source.empty() ? 0 : source[0].size()) + " bytes of " +
                            hal::to_string(type) + " into " + std::to_string(packed.size()) + ", expected " +
                            std::to_string(wanted) + " into " + std::to_string(room)};
    std::byte* to = packed.data();
    for (std::int64_t m = 0; m < matrices; ++m)
      for (std::int64_t first = 0; first < n; first += rows16_group) {
        const std::byte* rows[lanes];
        const auto there = static_cast<std::size_t>(std::min(n - first, rows16_group));
        for (std::size_t r = 0; r < lanes; ++r)
          rows[r] = r < there ? source[0].data() + (static_cast<Bytes>(m * n + first) + r) * row : zeros;
        for (std::size_t b = 0; b < blocks; ++b, to += packed_block) {
          pack_block(type, rows, to);
          for (std::size_t r = 0; r < there; ++r) rows[r] += source_block;
        }
      }
    return hal::ok();
  };
  return p;
}

bool kept_as_rows16(const hal::Segment& segment, std::uint32_t value, const hal::Info& info) {
  if (value == hal::no_value || !segment.constant(value)) return false;
  const hal::Tensor& t = segment.values[value];
  const std::string_view form = form_of(t.dtype, info);
  if (form.empty() || t.shape.size() < 2 || rows16_group_bytes(t.dtype, t.shape.back().max) == 0) return false;
  bool used = false;
  for (const hal::Node& n : segment.nodes) {
    if (std::find(n.in.begin(), n.in.end(), value) == n.in.end()) continue;
    const OpInfo* op = find_op(n.op);
    if (op && op->reads_rows16_too) {
      used = used || activations_of(n) == Activations::rounded;
      continue;
    }
    if (activations_of(n) != Activations::rounded || (!n.variant.empty() && !n.variant.starts_with(form))) return false;
    used = true;
  }
  return used;
}

std::optional<std::string> refuse_rounded(const hal::Segment& segment, const hal::Node& node, const hal::Info& info,
                                          std::initializer_list<std::uint32_t> weights, std::string_view form) {
  if (activations_of(node) != Activations::rounded) return "asked for exact activations";
  for (auto v : weights) {
    if (v == hal::no_value) continue;
    const DType type = segment.values[v].dtype;
    if (form_of(type, info) != form)
      return std::string(hal::to_string(type)) + " weights are not multiplied as " + std::string(form);
    if (!kept_as_rows16(segment, v, info)) return "the weights are not kept as rows16: others compute exactly on them";
  }
  return std::nullopt;
}

hal::Status add_rows16(const hal::Segment& segment, std::uint32_t value, hal::Lowered& lowered) {
  if (value == hal::no_value) return hal::ok();
  for (const hal::Packing& p : lowered.packings)
    if (std::find(p.constants.begin(), p.constants.end(), value) != p.constants.end()) {
      if (p.layout == "rows16") return hal::ok();
      return hal::Error{hal::Code::internal,
                        "value " + std::to_string(value) + " is packed as " + p.layout + " already"};
    }
  lowered.packings.push_back(rows16(segment, value));
  return hal::ok();
}

}  // namespace switchyard::kernels
