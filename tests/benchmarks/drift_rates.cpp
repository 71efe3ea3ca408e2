// How often the drift detector is wrong, and how late: the figures of scheduler/drift/README.md. `drift_rates [SEEDS]`.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>

#include "scheduler/drift/drift.h"

using switchyard::scheduler::DriftDetector;

namespace {

constexpr int run_steps = 10'000;

// Alarms of `runs` runs in which step i takes factor(i, random) times as long; noise: of the logarithm, normal, and
// `alike` to that of the step before.
void count(const char* what, int runs, double noise, double alike,
           const std::function<double(int, std::mt19937_64&)>& factor) {
  long alarms = 0;
  int with = 0;
  for (int seed = 0; seed < runs; ++seed) {
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    std::normal_distribution<double> fresh(0, noise * std::sqrt(1 - alike * alike));
    DriftDetector d;
    double x = 0;
    for (int i = 0; i < run_steps; ++i) {
      x = alike * x + fresh(random);
      d.add(1, factor(i, random) * std::exp(x));
    }
    alarms += d.alarms();
    with += d.alarms() > 0;
  }
  std::printf("%-40s noise %2.0f %%, alike %.1f: %ld alarms in %.3g steps, in %d of %d runs\n", what, 100 * noise,
              alike, alarms, static_cast<double>(runs) * run_steps, with, runs);
}

void delay(double factor, int runs) {
  std::vector<int> steps;
  for (int seed = 0; seed < runs; ++seed) {
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    std::normal_distribution<double> noise(0, 0.1);
    DriftDetector d;
    for (int i = 0; i < 500; ++i) d.add(1, std::exp(noise(random)));
    int n = 1;
    while (n < run_steps && !d.add(1, factor * std::exp(noise(random)))) ++n;
    steps.push_back(n);
  }
  std::sort(steps.begin(), steps.end());
  std::printf("x %.2f: alarm after %d steps (median), %d (99 of 100), %d (all of %d)\n", factor,
              steps[steps.size() / 2], steps[steps.size() * 99 / 100], steps.back(), runs);
}

}  // namespace

int main(int argc, char** argv) {
  const int seeds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1000;
  auto steady = [](int, std::mt19937_64&) { return 1.0; };
  for (double noise : {0.02, 0.1, 0.3}) count("steady", seeds, noise, 0, steady);
  count("every 100th step ten times as long", seeds, 0.1, 0, [](int i, auto&) { return i % 100 == 7 ? 10.0 : 1.0; });
  count("one in 100 at random", seeds, 0.1, 0, [](int, auto& random) { return random() % 100 == 0 ? 10.0 : 1.0; });
  for (double alike : {0.3, 0.5, 0.7, 0.9})
    for (double noise : {0.05, 0.1}) count("steady", seeds, noise, alike, steady);
  for (double factor : {1.2, 1.3, 1.5, 3.0, 1 / 1.5}) delay(factor, seeds);
  return 0;
}
