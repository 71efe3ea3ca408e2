#include "scheduler/run/pair_run.h"

#include <chrono>

namespace switchyard::scheduler {

using namespace hal;

Bytes bytes_of(const SequenceState& state) {
  Bytes bytes = 0;
  for (const auto& [layer, l] : state.layers)
    bytes += l.conv_window.size() + l.ssm_state.size() + l.k.size() + l.v.size();
  return bytes;
}

Result<PairRun> run_pair(Executor& prefill, Executor& decode, std::span<const std::int32_t> prompt,
                         std::int64_t output) {
  const auto size = static_cast<std::int64_t>(prompt.size());
  if (size < 1 || output < 1)
    return Error{Code::invalid_argument, "a prompt of " + std::to_string(size) + " tokens and " +
                                             std::to_string(output) + " after it: both must be at least 1"};
  for (const Executor* executor : {&prefill, &decode})
    if (const std::int64_t most = executor->options().context, more = executor == &decode ? output : 0;
        size > most - more)
      return Error{Code::invalid_argument, "the " + std::string(more ? "decode" : "prefill") +
                                               " executor has a context of " + std::to_string(most) + ", asked are " +
                                               std::to_string(size) + " tokens" +
                                               (more ? " and " + std::to_string(more) + " after them" : "")};
  HAL_TRY(auto same, decode.restore({prefill.model().content_hash, prefill.options().kv, {}, {}}));  // or says why not
  same.reset();

  PairRun run;
  auto last = std::chrono::steady_clock::now();
  auto lap = [&] {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last).count();
    last = now;
    return seconds;
  };
  HAL_TRY(auto first, prefill.create_sequence());
  HAL_TRY(std::vector<float> logits, prefill.feed(*first, prompt, WantLogits::last));
  run.prefill_seconds = lap();
  {
    HAL_TRY(const SequenceState state, prefill.save(*first));
    HAL_TRY(run.sequence, decode.restore(state));
    run.handoff_bytes = bytes_of(state);
  }
  first.reset();
  run.handoff_seconds = lap();
  while (static_cast<std::int64_t>(run.tokens.size()) < output) {
    run.tokens.push_back(greedy(logits));
    HAL_TRY(logits, decode.feed(*run.sequence, {&run.tokens.back(), 1}, WantLogits::last));
  }
  run.decode_seconds = lap();
  return run;
}

}  // namespace switchyard::scheduler
