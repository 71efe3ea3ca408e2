// rows32: weight rows as aligned 32-bit little-endian words, for kernels that cannot read bytes or halves.
//
//   f32           k words                      f16, bf16   ceil(k / 2) words, two values per word, the lower half first
//   q8_0          ceil(nb / 2) words of f16 scales, two per word, then nb * 8 words of int8 quants   (nb = k / 32 blocks)
//   q4_0          ceil(nb / 2) words of f16 scales, then nb * 4 words of nibbles, 16 bytes per block in GGUF order
//   q4_k, q5_k    36 and 44 words per block, as they are in GGUF
//   q6_k          53 words per block: the 210 bytes, then two zero bytes
// Padding is zero. Rows follow each other without gaps: row r starts at word r * row_words(dtype, k).
#pragma once
#include "hal/kernels.h"

namespace switchyard::kernels {

// Words of a row of k elements; 0: no weight type, or k is no whole number of blocks.
std::uint32_t row_words(hal::DType dtype, std::int64_t k);

// The packing of one constant of any rank >= 1; its rows are the product of all dimensions but the last.
// packing.bytes is 0 if the value's type or row length cannot be packed.
hal::Packing rows32(const hal::Segment& segment, std::uint32_t value);

// Appends rows32 of `value` unless `lowered` packs it already (a table tied to the head is one copy) or it is no
// constant (an f32 value computed in the segment lies as its packing would).
hal::Status add_rows32(const hal::Segment& segment, std::uint32_t value, hal::Lowered& lowered);

}  // namespace switchyard::kernels
