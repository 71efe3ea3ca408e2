// The rules of a step, one by one, and on random queues.
#include "scheduler/serve/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>

namespace switchyard::scheduler {

void PrintTo(const Share& share, std::ostream* out) { *out << share.id << ": " << share.rows; }

namespace {

using Shares = std::vector<Share>;

Waiting decode(std::uint64_t id, int priority, double since = 0.01) {
  return {.id = id, .priority = priority, .decoding = true, .waited_seconds = since, .since_step_seconds = since};
}
Waiting prompt(std::uint64_t id, int priority, std::int64_t rows, double waited, double since = 0) {
  return {.id = id, .priority = priority, .rows_left = rows, .waited_seconds = waited, .since_step_seconds = since};
}
// 10 ms for the weights, 1 ms a row, 1 ms a sequence.
double times(std::int64_t rows, std::int64_t sequences) { return 0.01 + 1e-3 * static_cast<double>(rows + sequences); }

Shares step(std::vector<Waiting> waiting, const BatchLimits& limits) { return next_step(waiting, limits, times); }

TEST(Batch, DecodeRowsGoFirstThenPrompts) {
  EXPECT_EQ(step({}, {}), Shares{});
  EXPECT_EQ(step({prompt(1, 0, 1000, 5), decode(2, 0), decode(3, 0)}, {.max_rows = 100}),
            (Shares{{2, 1}, {3, 1}, {1, 98}}));
  EXPECT_EQ(step({prompt(1, 0, 10, 5), decode(2, 0)}, {.max_rows = 100}), (Shares{{2, 1}, {1, 10}}));
  EXPECT_EQ(step({prompt(1, 0, 0, 5), decode(2, 0)}, {}), (Shares{{2, 1}}));
}

TEST(Batch, DecodeRowsThatDoNotFitGoByPriorityThenByTime) {
  const std::vector<Waiting> all{decode(1, 0, 0.1), decode(2, 0, 0.3), decode(3, 2, 0.1), decode(4, 0, 0.2),
                                 decode(5, 1, 0.1)};
  EXPECT_EQ(step(all, {.max_sequences = 4}), (Shares{{3, 1}, {5, 1}, {2, 1}, {4, 1}}));
  EXPECT_EQ(step(all, {.max_rows = 1}), (Shares{{3, 1}}));
}

TEST(Batch, PromptsGoByPriorityThenByRowsLeft) {
  // 1 came first: a quarter of the rows. 4 is of high priority, 2 is shorter than 3.
  const std::vector<Waiting> all{prompt(1, 0, 9000, 9), prompt(2, 0, 30, 1), prompt(3, 0, 31, 5),
                                 prompt(4, 1, 200, 0.1)};
  EXPECT_EQ(step(all, {.max_rows = 80}), (Shares{{1, 20}, {4, 60}}));
  EXPECT_EQ(step(all, {.max_rows = 400}), (Shares{{1, 100 + 39}, {4, 200}, {2, 30}, {3, 31}}));
  EXPECT_EQ(step(all, {.max_rows = 300}), (Shares{{1, 75}, {4, 200}, {2, 25}}));
  EXPECT_EQ(step(all, {.max_rows = 400, .max_sequences = 2}), (Shares{{1, 200}, {4, 200}}));
}

TEST(Batch, TheBoundCutsPromptsThenDecodeRowsButOnlyForHighPriority) {
  std::vector<Waiting> all{prompt(1, 0, 9000, 9), decode(2, 1), decode(3, 0, 0.02), decode(4, 0, 0.03)};
  BatchLimits limits{.max_rows = 100, .latency_bound = 0.025};
  EXPECT_EQ(step(all, limits), (Shares{{2, 1}, {4, 1}, {3, 1}, {1, 8}}));  // 11 rows, 4 sequences
  limits.latency_bound = 0.0145;
  EXPECT_EQ(step(all, limits), (Shares{{2, 1}, {4, 1}}));
  limits.latency_bound = 0.001;  // not to be had: the high ones alone
  EXPECT_EQ(step(all, limits), (Shares{{2, 1}}));
  all[1].decoding = false;
  EXPECT_EQ(step(all, limits), (Shares{{4, 1}, {3, 1}, {1, 97}, {2, 1}}));
  all.erase(all.begin() + 1);
  EXPECT_EQ(step(all, limits), (Shares{{4, 1}, {3, 1}, {1, 98}}));
}

TEST(Batch, TheOverdueComeFirst) {
  const BatchLimits limits{.max_rows = 100, .max_sequences = 4, .latency_bound = 0.02, .patience = 1};
  const std::vector<Waiting> busy{decode(1, 1), decode(2, 1), decode(3, 1), decode(4, 1)};
  auto with = [&](std::vector<Waiting> more) {
    more.insert(more.end(), busy.begin(), busy.end());
    return more;
  };
  EXPECT_EQ(step(with({decode(9, 0, 0.9)}), limits), (Shares{{1, 1}, {2, 1}, {3, 1}, {4, 1}}));
  EXPECT_EQ(step(with({decode(9, 0, 1)}), limits), (Shares{{9, 1}, {1, 1}, {2, 1}, {3, 1}}));
  EXPECT_EQ(step(with({decode(8, 0, 1.5), decode(9, 0, 2)}), limits), (Shares{{9, 1}, {1, 1}, {2, 1}, {3, 1}}));
  // With one, all that waited half as long; a quarter of the step is theirs.
  std::vector<Waiting> eight;
  for (std::uint64_t id = 1; id <= 8; ++id) eight.push_back(decode(id, 1));
  for (double since : {0.4, 0.6, 1.0, 0.7}) eight.push_back(decode(eight.size() + 1, 0, since));
  EXPECT_EQ(step(eight, {.max_sequences = 8, .patience = 1}),
            (Shares{{11, 1}, {12, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}}));
  EXPECT_EQ(step(eight, {.max_sequences = 11, .latency_bound = 0.001, .patience = 1}),
            (Shares{{11, 1}, {12, 1}, {10, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {8, 1}}));
  // 20 ms have no room for a prompt; doubled, it has for 40 - 10 - 6 (sequences and two rows) = 23 rows.
  EXPECT_EQ(step({prompt(9, 0, 500, 3, 1), decode(1, 1), decode(2, 1), decode(3, 1)}, limits),
            (Shares{{9, 23}, {1, 1}, {2, 1}, {3, 1}}));
  // Only the prompt that came first counts: others wait because of it.
  EXPECT_EQ(step({prompt(8, 0, 500, 4, 0), prompt(9, 0, 500, 3, 3), decode(1, 1)}, {.max_rows = 8, .patience = 1}),
            (Shares{{1, 1}, {8, 7}}));
}

TEST(Batch, LimitsOutOfRangeAreNamed) {
  const struct {
    BatchLimits limits;
    const char* named;
  } rows[] = {
      {{.max_rows = 0}, "batch limits: max_rows is 0, expected 1 or more"},
      {{.max_sequences = -1}, "batch limits: max_sequences is -1, expected 1 or more"},
      {{.latency_bound = -1}, "batch limits: latency_bound is -1.000000 s, expected 0 (none) or more"},
      {{.latency_bound = std::numeric_limits<double>::quiet_NaN()},
       "batch limits: latency_bound is nan s, expected 0 (none) or more"},
      {{.patience = 0}, "batch limits: patience is 0.000000 s, expected more than 0"},
      {{.patience = std::numeric_limits<double>::infinity()}, "batch limits: patience is inf s, expected more than 0"},
  };
  for (const auto& row : rows) {
    const auto refused = check(row.limits);
    ASSERT_FALSE(refused) << row.named;
    EXPECT_EQ(refused.error().code, hal::Code::invalid_argument);
    EXPECT_EQ(refused.error().message, row.named);
  }
  EXPECT_TRUE(check(BatchLimits{}));
}

// On random queues: within the limits, nothing left out that fits, the bound kept, the order of the queue of no matter.
TEST(Batch, RandomQueues) {
  constexpr unsigned seed = 30;
  std::mt19937 random(seed);
  const auto any = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most + 1)); };
  for (int trial = 0; trial < 5000; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", trial " + std::to_string(trial));
    BatchLimits limits{.max_rows = 1 + any(any(1) ? 20 : 300), .max_sequences = 1 + any(20), .patience = 1};
    if (any(1)) limits.latency_bound = 0.011 + any(30) * 1e-3;
    const double oldest = any(3) ? 0.9 : 2;
    std::vector<Waiting> waiting;
    for (int n = any(40); n > 0; --n) {
      const double since = oldest * any(9) / 9;
      waiting.push_back(
          any(1) ? decode(static_cast<std::uint64_t>(n), any(2) / 2, since)
                 : prompt(static_cast<std::uint64_t>(n), any(2) / 2, 1 + any(any(1) ? 5 : 200), since + any(3), since));
    }
    const Shares shares = step(waiting, limits);
    std::map<std::uint64_t, std::int64_t> given;
    std::int64_t rows = 0;
    for (const Share& share : shares) {
      EXPECT_GT(share.rows, 0);
      EXPECT_TRUE(given.emplace(share.id, share.rows).second) << share.id << " twice";
      rows += share.rows;
    }
    const auto sequences = static_cast<std::int64_t>(shares.size());
    EXPECT_LE(rows, limits.max_rows);
    EXPECT_LE(sequences, limits.max_sequences);
    bool high = false, low = false, overdue = false;
    double first = -1;
    for (const Waiting& w : waiting) {
      EXPECT_LE(given[w.id], w.rows_left);
      high = high || (w.decoding && w.priority > 0);
      low = low || (given[w.id] > 0 && !(w.decoding && w.priority > 0));
      if (!w.decoding && w.waited_seconds > first) first = w.waited_seconds;
    }
    for (const Waiting& w : waiting) {
      const bool counts = w.decoding || w.waited_seconds == first;
      overdue = overdue || (counts && w.since_step_seconds >= limits.patience);
    }
    const bool bounded = limits.latency_bound > 0 && high;
    if (bounded && low && !overdue) {
      EXPECT_LE(times(rows, sequences), limits.latency_bound);
    }
    if (!(bounded && overdue))
      for (const Waiting& w : waiting) {
        const std::int64_t mine = given[w.id], more = sequences + (mine == 0);
        const bool full = rows == limits.max_rows || more > limits.max_sequences ||
                          (bounded && times(rows + 1, more) > limits.latency_bound);
        EXPECT_TRUE(mine == w.rows_left || full) << w.id << " has " << mine << " of " << w.rows_left;
      }
    std::shuffle(waiting.begin(), waiting.end(), random);
    EXPECT_EQ(step(waiting, limits), shares);
  }
}

}  // namespace
}  // namespace switchyard::scheduler
