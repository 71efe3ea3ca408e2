#include "scheduler/serve/generation.h"

#include <algorithm>

namespace switchyard::scheduler {
namespace {

// The length of the longest head of `sequence`, up to `most` tokens, that `generated` ends with.
std::size_t head_at_end(std::span<const std::int32_t> generated, std::span<const std::int32_t> sequence,
                        std::size_t most) {
  for (std::size_t n = std::min(most, generated.size()); n > 0; --n)
    if (std::ranges::equal(generated.last(n), sequence.first(n))) return n;
  return 0;
}

}  // namespace

hal::Status check(const Generation& generation, std::int64_t vocab) {
  const auto refused = [](const std::string& what) {
    return hal::Error{hal::Code::invalid_argument, "generation: " + what};
  };
  if (generation.max_tokens < 0)
    return refused("max_tokens is " + std::to_string(generation.max_tokens) + ", expected 0 or more");
  const auto known = [&](const char* field, std::span<const std::int32_t> tokens) -> hal::Status {
    for (std::int32_t token : tokens)
      if (token < 0 || token >= vocab)
        return refused(std::string(field) + " has token " + std::to_string(token) + ", the vocabulary has " +
                       std::to_string(vocab));
    return hal::ok();
  };
  HAL_CHECK(known("stop", generation.stop));
  for (std::size_t i = 0; i < generation.stop_sequences.size(); ++i) {
    if (generation.stop_sequences[i].empty()) return refused("stop_sequences[" + std::to_string(i) + "] is empty");
    HAL_CHECK(known("stop_sequences", generation.stop_sequences[i]));
  }
  return hal::ok();
}

const char* to_string(End end) {
  switch (end) {
    case End::none: return "none";
    case End::stop: return "stop";
    case End::stop_sequence: return "stop_sequence";
    case End::max_tokens: return "max_tokens";
  }
  return "unknown";
}

Shown shown(std::span<const std::int32_t> generated, const Generation& generation) {
  const auto count = static_cast<std::int64_t>(generated.size());
  if (generated.empty()) return {};
  if (std::ranges::find(generation.stop, generated.back()) != generation.stop.end()) return {End::stop, count - 1};
  std::size_t ended = 0, held = 0;
  for (const auto& sequence : generation.stop_sequences) {
    const std::size_t n = head_at_end(generated, sequence, sequence.size());
    if (n == sequence.size()) ended = std::max(ended, n);
    held = std::max(held, n);
  }
  if (ended > 0) return {End::stop_sequence, count - static_cast<std::int64_t>(ended)};
  if (count >= generation.max_tokens) return {End::max_tokens, count};
  return {End::none, count - static_cast<std::int64_t>(held)};
}

}  // namespace switchyard::scheduler
