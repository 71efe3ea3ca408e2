// The times of steps, learned.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "scheduler/serve/step_times.h"

namespace switchyard::scheduler {
namespace {

double roofline(std::int64_t rows, std::int64_t sequences) {
  return 5e-4 + std::max(0.01, 4e-5 * static_cast<double>(rows)) + 2e-5 * static_cast<double>(sequences);
}

TEST(StepTimes, ArePredictionsAtFirst) {
  const auto plane = [](std::int64_t rows, std::int64_t sequences) {
    return 1e-3 + 2e-6 * static_cast<double>(rows) + 3e-6 * static_cast<double>(sequences);
  };
  const StepTimes times(plane, 500, 48);  // what is linear is so between knots, too
  for (std::int64_t rows = 1; rows <= 500; ++rows)
    for (std::int64_t sequences = 1; sequences <= std::min<std::int64_t>(rows, 48); ++sequences)
      ASSERT_NEAR(times.seconds(rows, sequences), plane(rows, sequences), 1e-12) << rows << ", " << sequences;
  EXPECT_EQ(times.seconds(10000, 1), times.seconds(512, 1));
  EXPECT_EQ(times.seconds(0, 0), times.seconds(1, 1));
  EXPECT_EQ(times.seconds(8, 60), times.seconds(8, 8));
  EXPECT_GT(StepTimes({}, 1, 1).seconds(1, 1), 0);
}

// A mix of steps as a server has, by noisy times, from predictions that are wrong or missing.
TEST(StepTimes, AreLearned) {
  const StepSeconds predictions[] = {{},
                                     [](auto, auto) { return 0.0; },
                                     [](auto rows, auto sequences) { return 3 * roofline(rows, sequences); },
                                     [](auto rows, auto sequences) { return roofline(rows, sequences) / 4; },
                                     [](auto rows, auto) { return 1e-4 * static_cast<double>(rows); },
                                     [](auto, auto) { return 0.02; }};
  for (unsigned seed = 1; seed <= 3; ++seed)
    for (std::size_t p = 0; p < std::size(predictions); ++p) {
      std::mt19937 random(seed);
      std::normal_distribution<double> noise(0, 0.05);
      StepTimes times(predictions[p], 512, 64);
      const auto run = [&](int steps, double factor) {
        for (int i = 0; i < steps; ++i) {
          const auto sequences = 1 + static_cast<std::int64_t>(random() % (random() % 2 ? 48 : 4));
          const auto rows = sequences + static_cast<std::int64_t>(random() % 2 * (random() % 460));
          const double outlier = random() % 50 ? 1 : 20;
          times.add(rows, sequences, factor * outlier * roofline(rows, sequences) * std::exp(noise(random)));
        }
      };
      const auto worst = [&](double factor) {
        double most = 0;
        for (std::int64_t rows = 2; rows <= 460; rows += 7)
          for (std::int64_t sequences = 1; sequences <= std::min<std::int64_t>(rows, 40); sequences += 3) {
            const double exact = factor * roofline(rows, sequences);
            most = std::max(most, std::abs(std::log(times.seconds(rows, sequences) / exact)));
          }
        return most;
      };
      run(2000, 1);
      EXPECT_LT(worst(1), 0.25) << "seed " << seed << ", prediction " << p;
      run(2000, 2.5);  // another program came
      EXPECT_LT(worst(2.5), 0.25) << "seed " << seed << ", prediction " << p;
    }
}

TEST(StepTimes, NeverFallWithRowsOrSequences) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    std::mt19937 random(seed);
    StepTimes times(roofline, 256, 32);
    for (int i = 0; i < 300; ++i) {
      const auto rows = 1 + static_cast<std::int64_t>(random() % 256);
      const auto sequences =
          1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(std::min<std::int64_t>(rows, 32)));
      times.add(rows, sequences, 1e-3 * static_cast<double>(1 + random() % 100));
      times.add(rows, sequences, random() % 2 ? 0 : std::nan(""));
    }
    for (std::int64_t rows = 1; rows < 256; ++rows)
      for (std::int64_t sequences = 1; sequences <= std::min<std::int64_t>(rows, 32); ++sequences) {
        ASSERT_LE(times.seconds(rows, sequences), times.seconds(rows + 1, sequences) * (1 + 1e-12)) << "seed " << seed;
        if (sequences < rows) {
          ASSERT_LE(times.seconds(rows, sequences), times.seconds(rows, sequences + 1) * (1 + 1e-12))
              << "seed " << seed;
        }
      }
  }
}

TEST(StepTimes, FollowALastingChangeAndNotAnInterruption) {
  StepTimes times(roofline, 512, 64);
  const double usual = roofline(64, 8);
  for (int i = 0; i < 50; ++i) times.add(64, 8, usual);
  times.add(64, 8, 100 * usual);
  EXPECT_LT(times.seconds(64, 8), 1.1 * usual);
  for (int i = 0; i < 20; ++i) times.add(64, 8, 1.5 * usual);
  EXPECT_NEAR(times.seconds(64, 8), 1.5 * usual, 0.1 * usual);
  // A knot raised by one below it that is no longer true comes down with what is measured there.
  StepTimes stale(roofline, 512, 64);
  for (int i = 0; i < 20; ++i) stale.add(64, 1, 5 * usual);
  for (int i = 0; i < 40; ++i) stale.add(256, 1, usual);
  EXPECT_NEAR(stale.seconds(256, 1), usual, 0.05 * usual);
}

}  // namespace
}  // namespace switchyard::scheduler
