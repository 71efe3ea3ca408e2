// Where things lie in a piece of a rows16 group (kernels/common/rows16.h): bytes from its begin.
#pragma once
#include <cstdint>

#include "hal/call.h"

namespace switchyard::kernels {

struct Rows16Layout {
  std::uint32_t elements = 0, bytes = 0;              // of K, of the sixteen rows; 0: rows16 does not hold this type
  std::uint32_t least = 0, scales = 0, minimums = 0;  // dmin; per block of 32 (q6_k: of 16): scales, minimums
  std::uint32_t quants = 0, high = 0;                 // words; words of fifth bits or of bits five and six
};

constexpr Rows16Layout rows16_layout(hal::DType type) {
  switch (type) {
    case hal::DType::bf16: return {2, 64};
    case hal::DType::q4_0: return {32, 288, 0, 0, 0, 32};
    case hal::DType::q8_0: return {32, 544, 0, 0, 0, 32};
    case hal::DType::q4_k: return {256, 2368, 32, 64, 192, 320};
    case hal::DType::q5_k: return {256, 2880, 32, 64, 192, 320, 2368};
    case hal::DType::q6_k: return {256, 3360, 0, 32, 0, 288, 2336};
    default: return {};
  }
}

static inline std::uint64_t rows16_bytes(hal::DType type, std::uint32_t k) {
  const Rows16Layout l = rows16_layout(type);
  return std::uint64_t{k / l.elements} * l.bytes;
}

}  // namespace switchyard::kernels
