// Which sessions get how many rows in the next step: a pure function, no clock, no state.
//
// A step mixes decode rows with chunks of prompts, as in Sarathi-Serve (Agrawal et al. 2024):
//   1. decode rows, one of each session: by priority, then by the time since it was last in a step
//   2. a quarter of the rows that are left to the prompt that came first, whatever its priority
//   3. the rest to prompts: by priority, then the one with the fewest rows left first, each up to its end
//
// While a session of priority above 0 decodes, what is added to the decode rows of such sessions stays within
// latency_bound, by StepSeconds: first prompts are cut, then decode rows of priority 0. Otherwise a step is filled:
// rows or sequences are at their limit, or everything that waits is in.
//
// Nobody starves. Overdue is a session in decode, or the prompt that came first, that was in no step for `patience`.
// The next step begins with all of those that were in none for patience / 2, by the longest, with a row each, and for
// the rest of that step the bound is doubled. They may take a quarter of max_sequences, or what the decoding sessions
// of high priority leave if that is more, but at least 1; with fewer rows than sequences, of max_rows: k. With n
// sessions,
//   - a session in decode waits at most patience and n / k + 2 steps to be in one, as does, from when it is that, the
//     prompt that came first: those overdue for longer go before it, k a step, and nobody gets ahead of it;
//   - of every R rows given to prompts, at least R / 4 go to the one that came first: a prompt has been read when
//     prompts were given 4 times the rows of it and of those before it.
// Such steps lie patience / 2 apart if k is enough for all: with a patience of 200 steps or more, the 99th percentile
// of the time between tokens is that of the other steps.
//
// Why a quarter, then the shortest (tests/serve/batch_simulation.cpp, a machine in use for nine tenths of the time):
// prompts of up to 1000 tokens wait 0.05 s for the first token (mean), the worst of the longer ones 21 s. First come
// first: 1.6 and 9 s; as much to each: 0.17 and 47 s; the shortest only: 0.04 and 70 s.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "hal/result.h"

namespace switchyard::scheduler {

struct Waiting {
  std::uint64_t id = 0;
  int priority = 0;               // higher first; above 0: latency_bound holds while it decodes
  std::int64_t rows_left = 1;     // of the prompt; a session in decode gets 1
  bool decoding = false;          // its prompt has been read
  double waited_seconds = 0;      // since the prompt came
  double since_step_seconds = 0;  // since it was last in a step (its last token, or chunk), or came
};

struct BatchLimits {
  std::int64_t max_rows = 512, max_sequences = 64;  // of a step
  double latency_bound = 0;                         // seconds of a step; 0: none
  double patience = 10;                             // seconds
};
// invalid_argument: names the field, its value and what it may be.
hal::Status check(const BatchLimits& limits);

// The predicted time of a step; grows with both. StepTimes (step_times.h) learns it.
using StepSeconds = std::function<double(std::int64_t rows, std::int64_t sequences)>;

struct Share {
  std::uint64_t id = 0;
  std::int64_t rows = 0;
  bool operator==(const Share&) const = default;
};

// In the order above; ties by id, so that the order of `waiting` does not matter. Empty only if nothing waits. Sessions
// with rows_left below 1 are left out. Empty seconds: no bound. Ids must differ, times be numbers, limits be right.
std::vector<Share> next_step(std::span<const Waiting> waiting, const BatchLimits& limits, const StepSeconds& seconds);

}  // namespace switchyard::scheduler
