// Sampling: one token from one row of logits, on the host, with everything an application may ask of it.
//
// In this order, which is that of Hugging Face transformers (generation/utils.py); all in place on a copy of the row:
//   bias         logit += bias[token]
//   penalty      of each token among the last repetition_window of the log, once: logit > 0 ? logit / penalty
//                : logit * penalty (Keskar et al. 2019, CTRL, section 4.1)
//   mask         logit = -inf where the application's callback says no
//   temperature  0: the largest logit, the lowest token on a tie; the rest does not matter.
//                else p = softmax(logits / temperature)
//   top-k        the top_k largest, the lower token on a tie
//   top-p        the smallest set of the largest whose sum reaches top_p (Holtzman et al. 2020)
//   min-p        those with p >= min_p * the largest p (Nguyen et al. 2024)
// From the temperature on as the op sampling@1: p is of all tokens and is not made to sum to 1 again after top-k (in
// transformers it is, so top-p there keeps fewer), each filter keeps a head of the descending order, and the token is
// the first in that order whose running sum exceeds uniform * (sum of those kept).
//
// Reproducible: the uniform number is a function of the seed and of the position, log.size(). A session that is
// replayed, moved, rolled back or read from a file draws what it drew before; there is no state to keep.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hal/result.h"

namespace switchyard::scheduler {

struct Sampling {
  double temperature = 0;               // 0: greedy
  std::int64_t top_k = 0;               // 0: all
  double top_p = 1;                     // in (0, 1]; 1: all
  double min_p = 0;                     // in [0, 1]; 0: all
  double repetition_penalty = 1;        // above 0; 1: none
  std::int64_t repetition_window = 64;  // tokens at the end of the log; 0: none
  std::uint64_t seed = 0;
  std::vector<std::pair<std::int32_t, float>> bias;  // token, and what is added to its logit; -inf forbids it

  bool operator==(const Sampling&) const = default;
};

// invalid_argument: names the field, its value and what it may be.
hal::Status check(const Sampling& sampling, std::int64_t vocab);

// Structured output: clears allowed[token] of what may not come next. log: the tokens so far, the prompt's first;
// allowed: one per token of the vocabulary, all 1. May throw.
using TokenMask = std::function<void(std::span<const std::int32_t> log, std::span<std::uint8_t> allowed)>;

// logits: one per token of the vocabulary. A logit of +inf takes all probability, several share it; one of -inf has
// none. Any thread. invalid_argument: as check(); a NaN among the logits, or a token in the window of the log that is
// not in the vocabulary; no token left, with what took them; the mask threw, with what it threw.
hal::Result<std::int32_t> choose(std::span<const float> logits, std::span<const std::int32_t> log,
                                 const Sampling& sampling, const TokenMask& mask = {});

// A JSON object of all fields; bias as [[token, number or "-inf"], ...].
std::string to_json(const Sampling& sampling);
// What is absent has its default. io: no JSON object, a field that is unknown or of another type, or a value that
// check() refuses for every vocabulary.
hal::Result<Sampling> sampling_from_json(std::string_view text);

// Philox4x32-10 (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3).
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);
// In [0, 1), a multiple of 2^-53: what choose() draws with.
double uniform(std::uint64_t seed, std::uint64_t position);

}  // namespace switchyard::scheduler
