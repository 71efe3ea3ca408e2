// The table of sequences that state ops take: checked once, read by references, made by cases.
#pragma once
#include "kernels/op.h"

namespace switchyard::kernels {

// Input `in` is i32 [S, Sequence::width] and no constant.
Status expect_sequences(const Segment& segment, const Node& node, std::size_t in);

// The rows of a table as a reference sees it.
std::vector<Sequence> sequences_of(ReferenceArgs& args, std::size_t in);

// For cases. One sequence's part of a step; the rows of several stand one behind another.
struct Part {
  std::int32_t rows, slot_in, slot_out, past;
};
Fill sequence_fill(const std::vector<Part>& parts);
std::int64_t rows_of(const std::vector<Part>& parts);

// Prefill chunks, decode rows, fresh sequences, moves from slot to slot, sequences shorter than any window; slots 0
// .. 8.
std::vector<Part> mixed_parts();
constexpr std::int64_t mixed_slots = 9;

// `slots` slots of `elements` values each, uniform in [lo, hi], but zeros in slot 0. The same every time.
Fill state_fill(std::int64_t slots, std::int64_t elements, double lo, double hi);

}  // namespace switchyard::kernels
