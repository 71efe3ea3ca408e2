#include "scheduler/experts/usage.h"

#include <algorithm>
#include <numeric>

#include "models/granite_hybrid/weights.h"

namespace switchyard::scheduler {

using hal::Code;
using hal::Error;

ExpertShape expert_shape(const models::Model& model) {
  const models::Config& c = model.config;
  return c.experts > 0 ? ExpertShape{c.layers, c.experts, c.experts_used} : ExpertShape{};
}

void place_choices(std::span<const std::int32_t> ids, std::int64_t layer, std::int64_t first, StepRouting& to) {
  const auto k = static_cast<std::size_t>(to.shape.top_k);
  for (std::size_t row = 0; row < ids.size() / k; ++row)
    std::copy_n(
        ids.begin() + static_cast<std::ptrdiff_t>(row * k), k,
        to.chosen.begin() + ((first + static_cast<std::int64_t>(row)) * to.shape.layers + layer) * to.shape.top_k);
}

hal::Status check(const StepRouting& step, const ExpertShape& shape) {
  auto text = [](const ExpertShape& s) {
    return std::to_string(s.layers) + " layers, " + std::to_string(s.top_k) + " of " + std::to_string(s.experts) +
           " experts";
  };
  if (step.shape != shape)
    return Error{Code::invalid_argument, "routing: a step of " + text(step.shape) + ", expected " + text(shape)};
  const auto k = static_cast<std::size_t>(shape.top_k), each = k * static_cast<std::size_t>(shape.layers);
  if (step.chosen.size() != each * static_cast<std::size_t>(step.rows))
    return Error{Code::invalid_argument, "routing: " + std::to_string(step.chosen.size()) + " choices for " +
                                             std::to_string(step.rows) + " rows of " + std::to_string(each)};
  for (std::size_t i = 0; i < step.chosen.size(); ++i) {
    const std::int32_t id = step.chosen[i];
    const auto* first = step.chosen.data() + i / k * k;  // of this token in this layer
    const bool twice = std::find(first, step.chosen.data() + i, id) != step.chosen.data() + i;
    if (id >= 0 && id < shape.experts && !twice) continue;
    return Error{Code::invalid_argument, "routing: token " + std::to_string(i / each) + ", layer " +
                                             std::to_string(i % each / k) + " chose expert " + std::to_string(id) +
                                             (twice ? " twice" : " of " + std::to_string(shape.experts))};
  }
  return hal::ok();
}

hal::Status UsageHistogram::add(const StepRouting& step) {
  HAL_CHECK(check(step, shape));
  const auto k = static_cast<std::size_t>(shape.top_k), layers = static_cast<std::size_t>(shape.layers);
  for (std::size_t i = 0; i < step.chosen.size(); ++i)
    ++counts[shape.pair(static_cast<std::int64_t>(i / k % layers), step.chosen[i])];
  tokens += static_cast<std::uint64_t>(step.rows);
  return hal::ok();
}

std::vector<std::int64_t> hottest_first(const UsageHistogram& usage, std::int64_t layer) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(usage.shape.experts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return usage.count(layer, a) > usage.count(layer, b); });
  return order;
}

double share_of_hottest(const UsageHistogram& usage, std::int64_t layer, std::int64_t n) {
  std::uint64_t taken = 0, all = 0;
  for (std::int64_t e : hottest_first(usage, layer)) {
    all += usage.count(layer, e);
    if (n-- > 0) taken = all;
  }
  return all == 0 ? 0 : static_cast<double>(taken) / static_cast<double>(all);
}

double overlap(const UsageHistogram& a, const UsageHistogram& b, std::int64_t layer) {
  auto share = [&](const UsageHistogram& u, std::int64_t e) {
    const double all = static_cast<double>(u.tokens) * static_cast<double>(u.shape.top_k);
    return all > 0 ? static_cast<double>(u.count(layer, e)) / all : 0;
  };
  double sum = 0;
  for (std::int64_t e = 0; e < a.shape.experts; ++e) sum += std::min(share(a, e), share(b, e));
  return sum;
}

}  // namespace switchyard::scheduler
