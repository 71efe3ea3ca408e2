#include "scheduler/experts/choose.h"

#include <algorithm>
#include <numeric>

#include "models/quant/fill.h"

namespace switchyard::scheduler {
namespace {

struct Pair {
  std::int64_t layer, expert;
};

// Takes pairs in this order while they fit; one that does not fit is passed over.
class Filling {
 public:
  Filling(const ExpertShape& shape, const ExpertBudget& budget) : choice(shape), budget_(budget) {}
  bool fits(hal::Bytes bytes) const { return bytes <= budget_.bytes - used_; }
  bool take(const Pair& p) {
    const hal::Bytes bytes = budget_.expert_bytes[static_cast<std::size_t>(p.layer)];
    if (!fits(bytes)) return false;
    choice.fast[choice.shape.pair(p.layer, p.expert)] = 1;
    used_ += bytes;
    return true;
  }
  ExpertChoice choice;

 private:
  const ExpertBudget& budget_;
  hal::Bytes used_ = 0;
};

double token_cost(std::int64_t hits, std::int64_t top_k, const ExpertTimes& t) {
  const std::int64_t misses = top_k - hits;
  return std::max(static_cast<double>(hits) * t.fast, static_cast<double>(misses) * t.slow) + (misses > 0 ? t.sync : 0);
}

std::int64_t hits_of(std::span<const std::uint16_t> chosen, std::int64_t layer, const ExpertChoice& choice) {
  return std::count_if(chosen.begin(), chosen.end(), [&](std::uint16_t e) { return choice.at(layer, e); });
}

// Seconds per token in `layer` when its n first experts of `order` are fast, for n = 0 .. experts.
std::vector<double> costs_by_count(const TraceView& tokens, std::int64_t layer, const std::vector<std::int64_t>& order,
                                   const ExpertTimes& times) {
  const ExpertShape& shape = tokens.trace->shape;
  const auto experts = static_cast<std::size_t>(shape.experts);
  std::vector<std::size_t> rank(experts);
  for (std::size_t r = 0; r < experts; ++r) rank[static_cast<std::size_t>(order[r])] = r;
  // A token's hits go from h to h + 1 where n passes its (h + 1)-th rank: steps[n] sums the changes of its cost there.
  std::vector<double> steps(experts + 1, 0.0);
  std::vector<std::size_t> ranks;
  for (std::int64_t i = 0; i < tokens.size(); ++i) {
    ranks.clear();
    for (std::uint16_t e : tokens.at(i, layer)) ranks.push_back(rank[e]);
    std::sort(ranks.begin(), ranks.end());
    steps[0] += token_cost(0, shape.top_k, times);
    for (std::size_t h = 0; h < ranks.size(); ++h) {
      const auto hits = static_cast<std::int64_t>(h);
      steps[ranks[h] + 1] += token_cost(hits + 1, shape.top_k, times) - token_cost(hits, shape.top_k, times);
    }
  }
  std::partial_sum(steps.begin(), steps.end(), steps.begin());
  for (double& s : steps) s /= static_cast<double>(std::max<std::int64_t>(tokens.size(), 1));
  return steps;
}

}  // namespace

std::vector<bool> ExpertChoice::of_layer(std::int64_t layer) const {
  std::vector<bool> here;
  for (std::int64_t e = 0; e < shape.experts; ++e) here.push_back(at(layer, e));
  return here;
}

std::int64_t ExpertChoice::count() const { return std::accumulate(fast.begin(), fast.end(), std::int64_t{0}); }

hal::Bytes bytes_of(const ExpertChoice& choice, const ExpertBudget& budget) {
  hal::Bytes sum = 0;
  for (std::int64_t l = 0; l < choice.shape.layers; ++l)
    for (std::int64_t e = 0; e < choice.shape.experts; ++e)
      if (choice.at(l, e)) sum += budget.expert_bytes[static_cast<std::size_t>(l)];
  return sum;
}

const char* to_string(ExpertPolicy policy) {
  switch (policy) {
    case ExpertPolicy::frequency: return "frequency";
    case ExpertPolicy::equal: return "equal";
    case ExpertPolicy::layers: return "layers";
    case ExpertPolicy::first: return "first";
    case ExpertPolicy::random: return "random";
  }
  return "";
}

ExpertChoice choose(ExpertPolicy policy, const UsageHistogram& usage, const ExpertBudget& budget, std::uint64_t seed) {
  const ExpertShape& shape = usage.shape;
  Filling filling(shape, budget);
  std::vector<Pair> pairs;
  for (std::int64_t l = 0; l < shape.layers; ++l)
    for (std::int64_t e = 0; e < shape.experts; ++e) pairs.push_back({l, e});
  switch (policy) {
    case ExpertPolicy::frequency:
      std::stable_sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) {
        auto weight = [&](const Pair& p, const Pair& other) {
          return static_cast<double>(usage.count(p.layer, p.expert)) *
                 static_cast<double>(budget.expert_bytes[static_cast<std::size_t>(other.layer)]);
        };
        return weight(a, b) > weight(b, a);
      });
      break;
    case ExpertPolicy::random: {
      models::Random random(seed);
      for (std::size_t i = pairs.size(); i > 1; --i) std::swap(pairs[i - 1], pairs[random.next() % i]);
      break;
    }
    case ExpertPolicy::layers:
      for (std::int64_t l = shape.layers; l-- > 0;) {
        if (!filling.fits(budget.expert_bytes[static_cast<std::size_t>(l)] * static_cast<hal::Bytes>(shape.experts)))
          break;
        for (std::int64_t e = 0; e < shape.experts; ++e) filling.take({l, e});
      }
      return filling.choice;
    case ExpertPolicy::equal:
    case ExpertPolicy::first: {
      std::vector<std::vector<std::int64_t>> order;
      for (std::int64_t l = 0; l < shape.layers; ++l) order.push_back(hottest_first(usage, l));
      for (Pair& p : pairs) {  // every layer's n-th, then every layer's next
        const std::int64_t i = &p - pairs.data(), l = i % shape.layers, n = i / shape.layers;
        p = {l, policy == ExpertPolicy::first ? n : order[static_cast<std::size_t>(l)][static_cast<std::size_t>(n)]};
      }
      break;
    }
  }
  for (const Pair& p : pairs)
    if (!filling.take(p) && (policy == ExpertPolicy::equal || policy == ExpertPolicy::first)) break;
  return filling.choice;
}

hal::Result<ExpertChoice> choose_exact(const TraceView& tokens, const ExpertBudget& budget, const ExpertTimes& times) {
  const ExpertShape& shape = tokens.trace->shape;
  hal::Bytes unit = 0, all = 0;
  for (hal::Bytes b : budget.expert_bytes) {
    unit = std::gcd(unit, b);
    all += b * static_cast<hal::Bytes>(shape.experts);
  }
  const std::size_t cells = static_cast<std::size_t>(std::min(budget.bytes, all) / unit) + 1;
  const double work = static_cast<double>(cells) * static_cast<double>(shape.pairs());
  if (work > 2e9)
    return hal::Error{hal::Code::invalid_argument, "experts: the exact choice needs " + std::to_string(work) +
                                                       " steps, at most 2e9; give a smaller budget"};
  const UsageHistogram usage = usage_of(tokens);
  // best[c]: least cost of the layers so far in c units; taken[layer][c]: the layer's count in that.
  std::vector<double> best(cells, 0.0), next(cells);
  std::vector<std::vector<std::uint32_t>> taken;
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    const std::vector<double> cost = costs_by_count(tokens, l, hottest_first(usage, l), times);
    const auto size = static_cast<std::size_t>(budget.expert_bytes[static_cast<std::size_t>(l)] / unit);
    auto& counts = taken.emplace_back(cells, 0);
    for (std::size_t c = 0; c < cells; ++c) {
      next[c] = best[c] + cost[0];
      for (std::size_t n = 1; n < cost.size() && n * size <= c; ++n)
        if (const double sum = best[c - n * size] + cost[n]; sum < next[c]) {
          next[c] = sum;
          counts[c] = static_cast<std::uint32_t>(n);
        }
    }
    best.swap(next);
  }
  ExpertChoice choice(shape);
  std::size_t c = cells - 1;
  for (std::int64_t l = shape.layers; l-- > 0;) {
    const std::uint32_t n = taken[static_cast<std::size_t>(l)][c];
    const auto order = hottest_first(usage, l);
    for (std::uint32_t i = 0; i < n; ++i) choice.fast[shape.pair(l, order[i])] = 1;
    c -= n * static_cast<std::size_t>(budget.expert_bytes[static_cast<std::size_t>(l)] / unit);
  }
  return choice;
}

double cost_of(const TraceView& tokens, std::int64_t layer, const ExpertChoice& choice, const ExpertTimes& times) {
  double sum = 0;
  for (std::int64_t i = 0; i < tokens.size(); ++i)
    sum += token_cost(hits_of(tokens.at(i, layer), layer, choice), choice.shape.top_k, times);
  return sum / static_cast<double>(std::max<std::int64_t>(tokens.size(), 1));
}

double cost_of(const TraceView& tokens, const ExpertChoice& choice, const ExpertTimes& times) {
  double sum = 0;
  for (std::int64_t l = 0; l < choice.shape.layers; ++l) sum += cost_of(tokens, l, choice, times);
  return sum;
}

double hit_rate(const TraceView& tokens, const ExpertChoice& choice) {
  std::int64_t hits = 0;
  for (std::int64_t i = 0; i < tokens.size(); ++i)
    for (std::int64_t l = 0; l < choice.shape.layers; ++l) hits += hits_of(tokens.at(i, l), l, choice);
  const std::int64_t all = tokens.size() * choice.shape.layers * choice.shape.top_k;
  return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
}

}  // namespace switchyard::scheduler
