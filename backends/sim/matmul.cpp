// f32 matrix product for the evaluator: panels of 16 columns, four rows at a time, loops a compiler vectorises.
#include <cstring>
#include <vector>

#include "backends/sim/evaluator.h"

namespace switchyard::backends::sim {
namespace {

constexpr std::int64_t width = 16;

// panel [k][width], zero beyond the last column.
void pack(const float* b, float* panel, std::int64_t n, std::int64_t k, std::int64_t first, std::int64_t columns,
          bool tb) {
  if (columns < width) std::memset(panel, 0, static_cast<std::size_t>(k * width) * sizeof(float));
  if (tb) {
    for (std::int64_t j = 0; j < columns; ++j)
      for (std::int64_t i = 0; i < k; ++i) panel[i * width + j] = b[(first + j) * k + i];
  } else {
    for (std::int64_t i = 0; i < k; ++i)
      std::memcpy(panel + i * width, b + i * n + first, static_cast<std::size_t>(columns) * sizeof(float));
  }
}

template <int Rows>
void block(const float* a, const float* panel, float* c, std::int64_t n, std::int64_t k, std::int64_t columns) {
  float sum[Rows][width] = {};
  for (std::int64_t i = 0; i < k; ++i)
    for (int r = 0; r < Rows; ++r) {
      const float x = a[r * k + i];
      for (std::int64_t j = 0; j < width; ++j) sum[r][j] += x * panel[i * width + j];
    }
  for (int r = 0; r < Rows; ++r) std::memcpy(c + r * n, sum[r], static_cast<std::size_t>(columns) * sizeof(float));
}

float dot(const float* a, const float* b, std::int64_t k) {
  float lanes[width] = {};
  std::int64_t i = 0;
  for (; i + width <= k; i += width)
    for (std::int64_t j = 0; j < width; ++j) lanes[j] += a[i + j] * b[i + j];
  float sum = 0;
  for (; i < k; ++i) sum += a[i] * b[i];
  for (float lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void matmul(const float* a, const float* b, float* c, std::int64_t m, std::int64_t n, std::int64_t k, bool tb) {
  if (m < 4 && tb) {  // packing would cost more than the product
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t r = 0; r < m; ++r) c[r * n + j] = dot(a + r * k, b + j * k, k);
    return;
  }
  std::vector<float> panel(static_cast<std::size_t>(k * width));
  for (std::int64_t first = 0; first < n; first += width) {
    const std::int64_t columns = n - first < width ? n - first : width;
    pack(b, panel.data(), n, k, first, columns, tb);
    std::int64_t r = 0;
    for (; r + 4 <= m; r += 4) block<4>(a + r * k, panel.data(), c + r * n + first, n, k, columns);
    for (; r < m; ++r) block<1>(a + r * k, panel.data(), c + r * n + first, n, k, columns);
  }
}

}  // namespace switchyard::backends::sim
