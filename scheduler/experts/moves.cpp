#include "scheduler/experts/moves.h"

#include <algorithm>
#include <cmath>

namespace switchyard::scheduler {

std::vector<ExpertSwap> exchange(ExpertChoice& choice, const TraceView& recent, const ExpertBudget& budget,
                                 const ExpertTimes& times, const ExchangeRule& rule) {
  const ExpertShape& shape = choice.shape;
  const UsageHistogram usage = usage_of(recent);
  std::vector<std::size_t> inside, outside;  // as ExpertShape::pair
  for (std::size_t p = 0; p < shape.pairs(); ++p) (choice.fast[p] ? inside : outside).push_back(p);
  auto count = [&](std::size_t p) { return usage.counts[p]; };
  std::stable_sort(inside.begin(), inside.end(), [&](auto a, auto b) { return count(a) < count(b); });
  std::stable_sort(outside.begin(), outside.end(), [&](auto a, auto b) { return count(a) > count(b); });

  const auto experts = static_cast<std::size_t>(shape.experts);
  auto bytes = [&](std::size_t p) { return budget.expert_bytes[p / experts]; };
  hal::Bytes used = bytes_of(choice, budget);
  std::vector<ExpertSwap> swaps;
  for (std::size_t i = 0; i < std::min(inside.size(), outside.size()); ++i) {
    const std::size_t in = outside[i], out = inside[i];
    if (count(in) <= count(out)) break;
    const double more = static_cast<double>(count(in) - count(out)), sum = static_cast<double>(count(in) + count(out));
    if (more <= rule.deviations * std::sqrt(sum)) continue;  // counts of independent choices vary by their square root
    if (used - bytes(out) + bytes(in) > budget.bytes) continue;
    const auto layer_in = static_cast<std::int64_t>(in / experts), layer_out = static_cast<std::int64_t>(out / experts);
    auto cost = [&] {
      return cost_of(recent, layer_in, choice, times) +
             (layer_out != layer_in ? cost_of(recent, layer_out, choice, times) : 0);
    };
    const double before = cost();
    choice.fast[in] = 1, choice.fast[out] = 0;
    const double saving = before - cost();
    if (saving * rule.horizon <= rule.factor * static_cast<double>(bytes(in)) / rule.bytes_per_second) {
      choice.fast[in] = 0, choice.fast[out] = 1;
      continue;
    }
    used += bytes(in) - bytes(out);
    swaps.push_back({layer_in, static_cast<std::int64_t>(in % experts), layer_out,
                     static_cast<std::int64_t>(out % experts), saving});
  }
  return swaps;
}

Replayed replay(const TraceView& tokens, const ExpertChoice& start, const ExpertBudget& budget,
                const ExpertTimes& times, const ExchangeRule& rule, std::int64_t window) {
  Replayed r;
  if (window < 1) return r;
  ExpertChoice now = start;
  r.fixed = cost_of(tokens, start, times);
  const std::int64_t all = tokens.size();
  for (std::int64_t done = 0; done < all; done += window) {
    TraceView part = tokens;
    part.first = tokens.first + done * tokens.stride;
    part.last = std::min(tokens.last, part.first + window * tokens.stride);
    r.adaptive += cost_of(part, now, times) * static_cast<double>(part.size());
    if (done + window >= all) break;  // nothing left to serve
    for (const ExpertSwap& s : exchange(now, part, budget, times, rule)) {
      const hal::Bytes bytes = budget.expert_bytes[static_cast<std::size_t>(s.layer_in)];
      r.moved += bytes;
      r.adaptive += static_cast<double>(bytes) / rule.bytes_per_second;
      ++r.swaps;
    }
  }
  r.adaptive /= static_cast<double>(std::max<std::int64_t>(all, 1));
  return r;
}

}  // namespace switchyard::scheduler
