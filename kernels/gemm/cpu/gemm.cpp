// A column block of weights at a time: each weight row is unpacked once and meets every row of x.
#include <cmath>

#include "kernels/common/quant.h"
#include "kernels/gemm/cpu/params.h"
#include "hal/kernels.h"

namespace switchyard::kernels::SY_ISA {
namespace {

constexpr int lanes = 16;

// Always 16 partial sums in the same order: the result depends on K alone.
inline float dot(const float* x, const float* w, std::uint32_t k) {
  float sum[lanes] = {};
  std::uint32_t i = 0;
  for (; i + lanes <= k; i += lanes)
    for (int l = 0; l < lanes; ++l) sum[l] += x[i + l] * w[i + l];
  for (int l = 0; i < k; ++i, ++l) sum[l] += x[i] * w[i];
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int l = 0; l < width; ++l) sum[l] += sum[l + width];
  return sum[0];
}

}  // namespace

void gemm(const hal::CallArgs* a) {
  const auto& p = *static_cast<const kernels::gemm::CpuParams*>(a->args);
  const std::int64_t rows = a->dims[p.rows_symbol];
  const auto* x = static_cast<const float*>(a->pointers[0]);
  const auto* w = static_cast<const std::byte*>(a->pointers[1]);
  const auto* up = static_cast<const std::byte*>(a->pointers[2]);
  const auto* bias = static_cast<const float*>(a->pointers[3]);
  const auto* residual = static_cast<const float*>(a->pointers[4]);
  auto* y = static_cast<float*>(a->pointers[5]);
  auto* row = static_cast<float*>(a->thread_scratch);
  float* row_up = row + (p.k + 63) / 64 * 64;
  const auto type = static_cast<hal::DType>(p.dtype);
  const std::uint64_t stride = hal::row_bytes(type, p.k);
  for (std::uint32_t tile = a->first_tile; tile < a->last_tile; ++tile)
    for (std::uint32_t n = tile * p.tile; n < (tile + 1) * p.tile && n < p.n; ++n) {
      dequantize_row(type, w + n * stride, p.k, row);
      if (up) dequantize_row(type, up + n * stride, p.k, row_up);
      for (std::int64_t t = 0; t < rows; ++t) {
        float v = dot(x + t * p.k, row, p.k);
        if (up) v = v / (1.0f + std::exp(-v)) * dot(x + t * p.k, row_up, p.k);
        if (bias) v += bias[n];
        y[t * p.n + n] = p.scale * v + (residual ? residual[t * p.n + n] : 0.0f);
      }
    }
}

}  // namespace switchyard::kernels::SY_ISA
