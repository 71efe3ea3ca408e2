// Choosing: which (layer, expert) pairs lie on the fast device when not all fit, and what a choice costs.
//
// Cost of a token in a layer, of the top_k experts it chose `hits` on the fast device, both devices working at once:
//   max(hits * fast, misses * slow) + (misses > 0 ? sync : 0)
// A token is costed as a step of its own (one session's decode), whatever step it was recorded in.
#pragma once
#include "scheduler/experts/trace.h"

namespace switchyard::scheduler {

struct ExpertTimes {
  double fast = 0, slow = 0;  // seconds of one expert for one token
  double sync = 0;            // seconds more in a layer that needs the slow device: activations there and back
};

struct ExpertChoice {
  explicit ExpertChoice(const ExpertShape& of) : shape(of), fast(of.pairs(), 0) {}
  bool at(std::int64_t layer, std::int64_t expert) const { return fast[shape.pair(layer, expert)] != 0; }
  std::vector<bool> of_layer(std::int64_t layer) const;
  std::int64_t count() const;

  ExpertShape shape;
  std::vector<std::uint8_t> fast;  // [layers, experts], 1: on the fast device
};

struct ExpertBudget {
  hal::Bytes bytes = 0;                  // of the fast device, for experts
  std::vector<hal::Bytes> expert_bytes;  // as in RoutingTrace
};
hal::Bytes bytes_of(const ExpertChoice& choice, const ExpertBudget& budget);

// frequency: all pairs by count (per byte, where layers differ in size). equal: the hottest, as many in every layer.
// layers: whole layers from the last one down. first: experts 0, 1, ..., as many in every layer. random: by a seed.
enum class ExpertPolicy : std::uint8_t { frequency, equal, layers, first, random };
inline constexpr ExpertPolicy expert_policies[] = {ExpertPolicy::frequency, ExpertPolicy::equal, ExpertPolicy::layers,
                                                   ExpertPolicy::first, ExpertPolicy::random};
const char* to_string(ExpertPolicy policy);
ExpertChoice choose(ExpertPolicy policy, const UsageHistogram& usage, const ExpertBudget& budget,
                    std::uint64_t seed = 1);

// The cheapest choice for these tokens among those that keep the n_l most used experts of each layer l: a knapsack over
// layers. invalid_argument: a table of over 2e9 entries, which layers of uneven sizes may need.
hal::Result<ExpertChoice> choose_exact(const TraceView& tokens, const ExpertBudget& budget, const ExpertTimes& times);

// Seconds per token: of one layer, and of all. 0 without tokens.
double cost_of(const TraceView& tokens, std::int64_t layer, const ExpertChoice& choice, const ExpertTimes& times);
double cost_of(const TraceView& tokens, const ExpertChoice& choice, const ExpertTimes& times);
// The part of all choices that finds its expert on the fast device.
double hit_rate(const TraceView& tokens, const ExpertChoice& choice);

}  // namespace switchyard::scheduler
