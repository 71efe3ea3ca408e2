// The CPU kernels' own exp, silu and softplus against double.
#define SY_ISA isa_of_the_test
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/common/cpu/math.h"

namespace switchyard::kernels::isa_of_the_test {
namespace {

// Largest error in units of the last place of the result (of the smallest normal number, where it is below that).
template <class F, class Exact>
double worst_ulps(F f, Exact exact, float from, float to) {
  double worst = 0;
  constexpr int steps = 2000000;
  for (int i = 0; i <= steps; ++i) {
    float x = from + (to - from) * (static_cast<float>(i) / steps);
    double want = exact(static_cast<double>(x));
    double magnitude = std::max(std::abs(want), static_cast<double>(std::numeric_limits<float>::min()));
    worst = std::max(worst, std::abs(f(x) - want) / (std::exp2(std::floor(std::log2(magnitude)) - 23)));
  }
  return worst;
}

TEST(CpuMath, ExpIsGoodToTwoUlps) {
  auto exact = [](double x) { return std::exp(x); };
  EXPECT_LE(worst_ulps(exp, exact, -87.0f, 88.7f), 2.0);
  EXPECT_LE(worst_ulps(exp, exact, -1.0f, 1.0f), 2.0);
  EXPECT_LE(worst_ulps(exp, exact, -120.0f, -87.0f), 2.0);
}

TEST(CpuMath, ExpAtTheEnds) {
  EXPECT_EQ(exp(0.0f), 1.0f);
  EXPECT_EQ(exp(-0.0f), 1.0f);
  EXPECT_EQ(exp(-1e30f), 0.0f);
  EXPECT_EQ(exp(-INFINITY), 0.0f);
  EXPECT_EQ(exp(INFINITY), INFINITY);
  EXPECT_EQ(exp(89.5f), INFINITY);
  EXPECT_TRUE(std::isnan(exp(NAN)));
}

TEST(CpuMath, SiluAndSoftplus) {
  EXPECT_LE(worst_ulps(
                silu, [](double x) { return x / (1 + std::exp(-x)); }, -80.0f, 80.0f),
            4.0);
  EXPECT_LE(
      worst_ulps(
          softplus, [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }, -80.0f, 80.0f),
      4.0);
  EXPECT_EQ(silu(0.0f), 0.0f);
  EXPECT_EQ(silu(200.0f), 200.0f);
  EXPECT_EQ(softplus(200.0f), 200.0f);
}

}  // namespace
}  // namespace switchyard::kernels::isa_of_the_test
