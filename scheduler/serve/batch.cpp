#include "scheduler/serve/batch.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

namespace switchyard::scheduler {
namespace {

constexpr std::int64_t part_of_first = 4;  // of the rows for prompts, for the one that came first

using List = std::vector<const Waiting*>;

bool longest(const Waiting* a, const Waiting* b) {
  return std::tuple(b->since_step_seconds, a->id) < std::tuple(a->since_step_seconds, b->id);
}
bool came_before(const Waiting* a, const Waiting* b) {
  return std::tuple(b->waited_seconds, a->id) < std::tuple(a->waited_seconds, b->id);
}
bool decodes_before(const Waiting* a, const Waiting* b) {
  return a->priority != b->priority ? a->priority > b->priority : longest(a, b);
}
bool is_read_before(const Waiting* a, const Waiting* b) {
  return std::tuple(b->priority, a->rows_left, b->waited_seconds, a->id) <
         std::tuple(a->priority, b->rows_left, a->waited_seconds, b->id);
}
bool is_high(const Waiting* w) { return w->priority > 0; }

class Step {
 public:
  Step(const BatchLimits& limits, const StepSeconds& seconds) : limits_(limits), seconds_(seconds) {}

  std::int64_t sequences() const { return static_cast<std::int64_t>(shares_.size()); }
  double predicted() const { return seconds_(rows_, sequences()); }
  void bound(double most) { most_ = most; }  // from here on

  std::int64_t given(const Waiting* w) const {
    const auto mine = std::find_if(shares_.begin(), shares_.end(), [&](const Share& s) { return s.id == w->id; });
    return mine == shares_.end() ? 0 : mine->rows;
  }
  // How many rows it could be given more, up to `most`.
  std::int64_t room(const Waiting* w, std::int64_t most) const {
    const std::int64_t with = sequences() + (given(w) == 0);
    const std::int64_t rows = std::min(most, limits_.max_rows - rows_);
    if (rows <= 0 || with > limits_.max_sequences) return 0;
    const auto within = [&](std::int64_t r) { return std::isinf(most_) || seconds_(rows_ + r, with) <= most_; };
    if (!within(1)) return 0;  // so with most, once the step is full
    if (within(rows)) return rows;
    std::int64_t yes = 1, no = rows;
    while (no - yes > 1) {
      const std::int64_t middle = yes + (no - yes) / 2;
      (within(middle) ? yes : no) = middle;
    }
    return yes;
  }
  // Brings it to `wanted` rows, or as near as there is room.
  void give(const Waiting* w, std::int64_t wanted) {
    const std::int64_t before = given(w), rows = room(w, wanted - before);
    rows_ += rows;
    if (before > 0)
      std::find_if(shares_.begin(), shares_.end(), [&](const Share& s) { return s.id == w->id; })->rows += rows;
    else if (rows > 0)
      shares_.push_back({w->id, rows});
  }
  std::vector<Share> take() { return std::move(shares_); }

 private:
  const BatchLimits& limits_;
  const StepSeconds& seconds_;
  double most_ = std::numeric_limits<double>::infinity();
  std::int64_t rows_ = 0;
  std::vector<Share> shares_;
};

// Those that come before all others, if anybody is overdue.
List overdue(const List& decoding, const Waiting* first_prompt, const BatchLimits& limits) {
  List list = decoding;
  if (first_prompt) list.push_back(first_prompt);
  const auto out_for = [](double seconds) {
    return [seconds](const Waiting* w) { return w->since_step_seconds >= seconds; };
  };
  if (std::none_of(list.begin(), list.end(), out_for(limits.patience))) return {};
  std::erase_if(list, std::not_fn(out_for(limits.patience / 2)));
  std::sort(list.begin(), list.end(), longest);
  const std::int64_t most = std::min(limits.max_rows, limits.max_sequences);
  const std::int64_t high = std::count_if(decoding.begin(), decoding.end(), is_high);
  const auto k = static_cast<std::size_t>(std::max({std::int64_t{1}, most / 4, most - high}));
  if (list.size() > k) list.resize(k);
  return list;
}

}  // namespace

hal::Status check(const BatchLimits& limits) {
  const auto refused = [](const std::string& what) {
    return hal::Error{hal::Code::invalid_argument, "batch limits: " + what};
  };
  if (limits.max_rows < 1) return refused("max_rows is " + std::to_string(limits.max_rows) + ", expected 1 or more");
  if (limits.max_sequences < 1)
    return refused("max_sequences is " + std::to_string(limits.max_sequences) + ", expected 1 or more");
  if (!(limits.latency_bound >= 0 && std::isfinite(limits.latency_bound)))
    return refused("latency_bound is " + std::to_string(limits.latency_bound) + " s, expected 0 (none) or more");
  if (!(limits.patience > 0 && std::isfinite(limits.patience)))
    return refused("patience is " + std::to_string(limits.patience) + " s, expected more than 0");
  return hal::ok();
}

std::vector<Share> next_step(std::span<const Waiting> waiting, const BatchLimits& limits, const StepSeconds& seconds) {
  List decoding, prompts;
  for (const Waiting& w : waiting)
    if (w.rows_left > 0) (w.decoding ? decoding : prompts).push_back(&w);
  std::sort(decoding.begin(), decoding.end(), decodes_before);
  std::sort(prompts.begin(), prompts.end(), is_read_before);
  const auto first = std::min_element(prompts.begin(), prompts.end(), came_before);
  const Waiting* first_prompt = first == prompts.end() ? nullptr : *first;

  Step step(limits, seconds);
  const List late = overdue(decoding, first_prompt, limits);
  for (const Waiting* w : late) step.give(w, 1);
  const auto low = std::find_if_not(decoding.begin(), decoding.end(), is_high);
  std::for_each(decoding.begin(), low, [&](const Waiting* w) { step.give(w, 1); });
  if (limits.latency_bound > 0 && seconds && low != decoding.begin())
    step.bound(late.empty() ? limits.latency_bound : 2 * std::max(limits.latency_bound, step.predicted()));
  std::for_each(low, decoding.end(), [&](const Waiting* w) { step.give(w, 1); });

  if (first_prompt) {
    const std::int64_t rows = step.given(first_prompt) + step.room(first_prompt, limits.max_rows);
    step.give(first_prompt, std::min(first_prompt->rows_left, (rows + part_of_first - 1) / part_of_first));
  }
  for (const Waiting* w : prompts) step.give(w, w->rows_left);
  return step.take();
}

}  // namespace switchyard::scheduler
