// Moves: when the use of experts drifts, which of them to exchange, and what that is worth on a trace.
#pragma once
#include "scheduler/experts/choose.h"

namespace switchyard::scheduler {

struct ExchangeRule {
  double horizon = 0;           // tokens that an exchange is expected to serve
  double bytes_per_second = 0;  // of the link to the fast device
  double factor = 2;            // exchange only when saving * horizon > factor * bytes / bytes_per_second
  double deviations = 3;        // and when the two counts differ by more standard deviations than chance explains
};

struct ExpertSwap {
  std::int64_t layer_in = 0, expert_in = 0;    // to the fast device
  std::int64_t layer_out = 0, expert_out = 0;  // off it; costs nothing, as the slow device reads the model's own memory
  double saving = 0;                           // seconds per token, on the tokens judged by
};

// The exchanges that pay by the rule, judged by `recent` tokens: the most used outside against the least used inside,
// the next against the next, while the one outside is used more. Each keeps the choice within the budget. Made in
// `choice`, in this order.
std::vector<ExpertSwap> exchange(ExpertChoice& choice, const TraceView& recent, const ExpertBudget& budget,
                                 const ExpertTimes& times, const ExchangeRule& rule);

struct Replayed {
  double fixed = 0;     // seconds per token with the first choice kept
  double adaptive = 0;  // with exchanges after every window, the time of the moves included
  std::int64_t swaps = 0;
  hal::Bytes moved = 0;
};
// Plays `tokens` from the first on; after every `window` of them the rule looks at that window. All zeros: a window
// below 1.
Replayed replay(const TraceView& tokens, const ExpertChoice& start, const ExpertBudget& budget,
                const ExpertTimes& times, const ExchangeRule& rule, std::int64_t window);

}  // namespace switchyard::scheduler
