// Routing traces drawn by chance.
#pragma once
#include <cmath>
#include <numeric>
#include <random>

#include "scheduler/experts/trace.h"

namespace switchyard::test {

// Every layer has an order of its own in which experts are wanted, with weights 1 / rank^skew; a token takes top_k
// different ones by these weights. Later layers are more focused than early ones. After `drift_at` tokens (if any)
// every layer's order is another one.
inline scheduler::RoutingTrace zipf(const scheduler::ExpertShape& shape, std::int64_t tokens, double skew_first,
                                    double skew_last, std::uint64_t seed, std::int64_t drift_at = -1) {
  std::mt19937_64 random(seed);
  scheduler::RoutingTrace trace{
      "zipf", seed, shape, std::vector<hal::Bytes>(static_cast<std::size_t>(shape.layers), 1000), {}, {}};
  trace.chosen.resize(static_cast<std::size_t>(tokens * shape.layers * shape.top_k));
  const auto experts = static_cast<std::size_t>(shape.experts);
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    const double at = shape.layers > 1 ? static_cast<double>(l) / static_cast<double>(shape.layers - 1) : 0;
    const double skew = skew_first + at * (skew_last - skew_first);
    std::vector<std::size_t> order(experts);
    std::iota(order.begin(), order.end(), 0);
    std::vector<double> weight(experts);
    for (std::int64_t t = 0; t < tokens; ++t) {
      if (t == 0 || t == drift_at) {
        std::shuffle(order.begin(), order.end(), random);
        for (std::size_t r = 0; r < experts; ++r) weight[order[r]] = std::pow(static_cast<double>(r + 1), -skew);
      }
      std::vector<double> left = weight;
      for (std::int64_t j = 0; j < shape.top_k; ++j) {
        std::discrete_distribution<std::size_t> draw(left.begin(), left.end());
        const std::size_t e = draw(random);
        left[e] = 0;
        trace.chosen[static_cast<std::size_t>((t * shape.layers + l) * shape.top_k + j)] =
            static_cast<std::uint16_t>(e);
      }
    }
  }
  trace.step_rows.assign(static_cast<std::size_t>(tokens), 1);
  return trace;
}

}  // namespace switchyard::test
