// rows16: weights with sixteen rows side by side, for CPU kernels on activations rounded to 8 bits (quantised weights)
// or to bf16 (bf16 weights).
//
// Rows are taken in groups of 16 (the last one filled up with zeros); a group's K is cut into pieces, one behind the
// other. "words" are the 32-bit words of the rows' own quants, in their own order: word 0 of the sixteen rows, then
// word 1 of the sixteen, and so on. f16 and bytes likewise: one of each row, side by side.
//
//   q4_0   32 of K    16 f16 d | 4 words                                      288 bytes
//   q8_0   32 of K    16 f16 d | 8 words, quants + 128                        544
//   q4_k   256 of K   16 f16 d | 16 f16 dmin | 8 x 16 scales (u8) | 8 x 16 minimums (u8) | 32 words          2368
//   q5_k   256 of K   as q4_k, then the 8 words of fifth bits                  2880
//   q6_k   256 of K   16 f16 d | 16 x 16 scales (i8) | 32 words of low bits | 16 words of high bits          3360
//   bf16   2 of K     1 word                                                   64
// The offsets are those of kernels/common/cpu/rows16_layout.h.
#pragma once
#include <optional>
#include <string_view>

#include "hal/kernels.h"

namespace switchyard::kernels {

constexpr std::int64_t rows16_group = 16;
// Bytes of one group of rows of k elements; 0: rows16 does not hold this type.
hal::Bytes rows16_group_bytes(hal::DType dtype, std::int64_t k);

// The packing of one constant: rank 2, [N, K], or 3, [L, N, K] (each of the L packed by itself).
hal::Packing rows16(const hal::Segment& segment, std::uint32_t value);

// Whether this device, which runs calls, keeps a constant as rows16: every product with it may round its activations,
// and there is a kernel that does.
bool kept_as_rows16(const hal::Segment& segment, std::uint32_t value, const hal::Info& info);
// Why a kernel of one form (sets.table: "int8", "bf16") would not take a node with these weights (absent ones:
// no_value).
std::optional<std::string> refuse_rounded(const hal::Segment& segment, const hal::Node& node, const hal::Info& info,
                                          std::initializer_list<std::uint32_t> weights, std::string_view form);
// Appends rows16 of `value` unless it is packed already.
hal::Status add_rows16(const hal::Segment& segment, std::uint32_t value, hal::Lowered& lowered);

}  // namespace switchyard::kernels
