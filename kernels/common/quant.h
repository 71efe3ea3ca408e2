// The eight weight types of the GGUF formats in plain C++: the reference every kernel is measured against.
#pragma once
#include <cstddef>
#include <cstdint>

#include "hal/segment.h"

namespace switchyard::kernels {

// IEEE half. To half: round to nearest, ties to even; too large becomes infinity; NaN stays NaN.
float f16_to_f32(std::uint16_t half);
std::uint16_t f32_to_f16(float value);

// bfloat16, the upper half of an f32. Rounds to nearest, ties to even; NaN stays NaN.
float bf16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_bf16(float value);

// f32, f16, bf16, q8_0, q4_0, q4_k, q5_k, q6_k.
bool is_weight_type(hal::DType dtype);

// Decodes n elements: `row` holds hal::row_bytes(dtype, n) bytes, at any alignment. Values are computed exactly; the
// f32 form rounds once. False, and nothing written, for a type that is not one of the eight or n no whole number of
// blocks.
bool dequantize_row(hal::DType dtype, const std::byte* row, std::int64_t n, float* out);
bool dequantize_row(hal::DType dtype, const std::byte* row, std::int64_t n, double* out);

// Encodes n finite elements into hal::row_bytes(dtype, n) bytes: round to nearest within the block's range, without a
// search for better scales. False, and nothing written, as above. f32 is a copy.
bool quantize_row(hal::DType dtype, const float* values, std::int64_t n, std::byte* row);

}  // namespace switchyard::kernels
