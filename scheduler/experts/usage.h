// What a model's routers chose: in one step, and counted over many.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "hal/result.h"

namespace switchyard::models {
struct Model;
}

namespace switchyard::scheduler {

struct ExpertShape {
  std::int64_t layers = 0, experts = 0, top_k = 0;
  bool operator==(const ExpertShape&) const = default;
  // Of a layer's expert in a list [layers, experts].
  std::size_t pair(std::int64_t layer, std::int64_t expert) const {
    return static_cast<std::size_t>(layer * experts + expert);
  }
  std::size_t pairs() const { return pair(layers, 0); }
};
ExpertShape expert_shape(const models::Model& model);  // zeros: a model without experts

// The choices of one step, every row of it a token.
struct StepRouting {
  ExpertShape shape;
  std::int64_t rows = 0;
  std::vector<std::int32_t> chosen;  // [rows, layers, top_k], most wanted first
};
// The choices [n, top_k] of a layer for the rows from `first` on, to their places in `to`.
void place_choices(std::span<const std::int32_t> ids, std::int64_t layer, std::int64_t first, StepRouting& to);
// invalid_argument: another shape than `shape`, an id outside [0, experts), or one expert twice for a token.
hal::Status check(const StepRouting& step, const ExpertShape& shape);

struct UsageHistogram {
  explicit UsageHistogram(const ExpertShape& of) : shape(of), counts(of.pairs(), 0) {}
  hal::Status add(const StepRouting& step);  // as check()
  std::uint64_t count(std::int64_t layer, std::int64_t expert) const { return counts[shape.pair(layer, expert)]; }

  ExpertShape shape;
  std::uint64_t tokens = 0;
  std::vector<std::uint64_t> counts;  // [layers, experts]; a layer's sum is tokens * top_k
};

// A layer's experts, most used first; on a tie the lower number.
std::vector<std::int64_t> hottest_first(const UsageHistogram& usage, std::int64_t layer);
// The part of a layer's choices that its `n` most used experts took, 0 .. 1; 0 without tokens.
double share_of_hottest(const UsageHistogram& usage, std::int64_t layer, std::int64_t n);
// How alike a layer's use is in both: the sum over experts of the smaller share. 1: the same; 0: no expert in common.
double overlap(const UsageHistogram& a, const UsageHistogram& b, std::int64_t layer);

}  // namespace switchyard::scheduler
