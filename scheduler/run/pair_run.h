// Prefill on one executor and decode on another, of the same model: what a pair plan means when it runs.
#pragma once
#include "scheduler/run/executor.h"

namespace switchyard::scheduler {

// Bytes of recurrent state and KV cache, as they cross from executor to executor.
hal::Bytes bytes_of(const SequenceState& state);

struct PairRun {
  std::vector<std::int32_t> tokens;    // greedy; the first is by the prompt's logits, so by the prefill executor
  std::unique_ptr<Sequence> sequence;  // on the decode executor; its log is the prompt and the tokens
  hal::Bytes handoff_bytes = 0;
  double prefill_seconds = 0, handoff_seconds = 0, decode_seconds = 0;  // wall clock
};

// Feeds the prompt to a sequence of its own on `prefill`, hands the sequence over once, all of it, and makes `output`
// tokens in as many steps on `decode`. The two may have devices in common, whose weights they share then; each keeps
// state of its own. invalid_argument, before anything runs: an empty prompt, output below 1, executors of two models or
// KV types, or more than the context of one of them.
hal::Result<PairRun> run_pair(Executor& prefill, Executor& decode, std::span<const std::int32_t> prompt,
                              std::int64_t output);

}  // namespace switchyard::scheduler
