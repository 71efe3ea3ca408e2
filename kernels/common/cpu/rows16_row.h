// One row out of a rows16 group (kernels/common/rows16.h), unpacked: for tables that are also read row by row.
#pragma once
#include "kernels/common/cpu/dequant.h"
#include "kernels/common/cpu/rows16_layout.h"

namespace switchyard::kernels::SY_ISA {

SY_INLINE std::uint32_t quant_word(const Byte* words, std::uint32_t index, std::uint32_t lane) {
  std::uint32_t w;
  std::memcpy(&w, words + 64 * index + 4 * lane, 4);
  return w;
}

// Elements [32 block, 32 block + 32) of row `lane` of the group.
static void unpack_rows16(DType type, const Byte* group, std::uint32_t lane, std::uint32_t block, float* to) {
  const Rows16Layout in = rows16_layout(type);
  const Byte* b = group + block * 32 / in.elements * std::uint64_t{in.bytes};
  if (type == DType::bf16) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      const std::uint32_t bits = quant_word(b, i / 2, lane) >> (16 * (i % 2)) << 16;
      std::memcpy(to + i, &bits, 4);
    }
    return;
  }
  const float d = half_at(b + 2 * lane);
  if (type == DType::q4_0 || type == DType::q8_0) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      const std::uint32_t word = type == DType::q4_0 ? i / 4 % 4 : i / 4, shift = 8 * (i % 4);
      const std::uint32_t q = quant_word(b + in.quants, word, lane) >> shift;
      to[i] = type == DType::q8_0 ? d * static_cast<float>(static_cast<int>(q & 255) - 128)
                                  : d * static_cast<float>(static_cast<int>(q >> (i / 16 * 4) & 15) - 8);
    }
    return;
  }
  const std::uint32_t s = block % 8;
  if (type == DType::q6_k) {
    for (std::uint32_t i = 0; i < 32; ++i) {
      const auto scale = static_cast<std::int8_t>(b[in.scales + 16 * (2 * s + i / 16) + lane]);
      const std::uint32_t low = quant_word(b + in.quants, s / 4 * 16 + s % 2 * 8 + i / 4, lane) >>
                                (8 * (i % 4) + s % 4 / 2 * 4),
                          high = quant_word(b + in.high, s / 4 * 8 + i / 4, lane) >> (8 * (i % 4) + s % 4 * 2);
      to[i] = d * static_cast<float>(scale) * static_cast<float>(static_cast<int>((low & 15) | (high & 3) << 4) - 32);
    }
    return;
  }
  const float scale = d * static_cast<float>(b[in.scales + 16 * s + lane]),
              least = half_at(b + in.least + 2 * lane) * static_cast<float>(b[in.minimums + 16 * s + lane]);
  for (std::uint32_t i = 0; i < 32; ++i) {
    std::uint32_t q = quant_word(b + in.quants, s / 2 * 8 + i / 4, lane) >> (8 * (i % 4) + s % 2 * 4) & 15;
    if (type == DType::q5_k) q |= (quant_word(b + in.high, i / 4, lane) >> (8 * (i % 4) + s) & 1) << 4;
    to[i] = scale * static_cast<float>(q) - least;
  }
}

}  // namespace switchyard::kernels::SY_ISA
