// Where a generation ends, and which of its tokens may be shown. Pure functions of the tokens generated so far (without
// the prompt), as sampling is: a session rolled back or resumed has no state of theirs to keep.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "hal/result.h"

namespace switchyard::scheduler {

struct Generation {
  std::int64_t max_tokens = 256;                          // 0: none
  std::vector<std::int32_t> stop;                         // tokens; each ends it and is not shown
  std::vector<std::vector<std::int32_t>> stop_sequences;  // the same for tokens in a row

  bool operator==(const Generation&) const = default;
};
// invalid_argument: names the field, its value and what it may be.
hal::Status check(const Generation& generation, std::int64_t vocab);

enum class End : std::uint8_t { none, stop, stop_sequence, max_tokens };
const char* to_string(End end);

struct Shown {
  End end = End::none;
  std::int64_t tokens = 0;  // the first so many may be shown, and stay; the others may yet become a stop sequence
};
// To be asked after each token, up to the end: only the last one, and the sequences it may end, are looked at. A stop
// goes before max_tokens, and of stop sequences the longest. `tokens` never becomes less. Any thread.
Shown shown(std::span<const std::int32_t> generated, const Generation& generation);

}  // namespace switchyard::scheduler
