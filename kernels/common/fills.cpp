#include "kernels/common/fills.h"

#include <cmath>
#include <random>

namespace switchyard::kernels {

Fill lossless_rows(std::int64_t t, std::int64_t k) {
  std::mt19937 random(static_cast<std::uint32_t>(t * 7919 + k));
  Fill fill;
  for (std::int64_t i = 0; i < t * k; ++i) {
    const double unit = std::ldexp(1.0, static_cast<int>(i / 32 % 5) - 8);
    fill.values.push_back(unit * (i % 32 == i / 32 % 32 ? 127 : static_cast<double>(random() % 255) - 127));
  }
  return fill;
}

}  // namespace switchyard::kernels
