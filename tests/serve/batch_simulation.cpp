// The policy over thousands of steps of a made-up machine: no clocks, fixed seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "scheduler/serve/step_times.h"

namespace switchyard::scheduler {
namespace {

// A roofline: the weights take 10 ms to read, computing passes that at 250 rows.
double machine(std::int64_t rows, std::int64_t sequences) {
  return 5e-4 + std::max(0.01, 4e-5 * static_cast<double>(rows)) + 2e-5 * static_cast<double>(sequences);
}
const double alone = machine(1, 1);

struct Request {
  double came = 0;
  int priority = 0;
  std::int64_t prompt = 0, output = 0;  // tokens
};

struct Load {
  unsigned seed = 1;
  int requests = 300;
  double per_second = 10;     // mean; Poisson
  double high = 0;            // part of the requests that is of high priority
  double mean_prompt = 1000;  // exponential, but a tenth is ten times as long
  double mean_output = 100;
};
std::vector<Request> requests(const Load& load) {
  std::mt19937 random(load.seed);
  const auto exponential = [&](double mean) { return std::exponential_distribution<double>(1 / mean)(random); };
  std::vector<Request> list;
  list.reserve(static_cast<std::size_t>(load.requests));
  double now = 0;
  for (int i = 0; i < load.requests; ++i) {
    now += exponential(1 / load.per_second);
    const double stretch = random() % 10 ? 1 : 10;
    const int priority = std::uniform_real_distribution<double>(0, 1)(random) < load.high ? 1 : 0;
    list.push_back({now, priority, 1 + static_cast<std::int64_t>(exponential(stretch * load.mean_prompt)),
                    1 + static_cast<std::int64_t>(exponential(load.mean_output))});
  }
  return list;
}

using Policy = std::function<std::vector<Share>(std::span<const Waiting>)>;
using Clock = std::function<double(std::int64_t rows, std::int64_t sequences)>;  // may have noise

struct Done {
  double first_token = 0;                    // seconds since it came
  std::int64_t prompt_rows = 0, before = 0;  // of all prompts until it had been read; of it and those that came before
};
struct Outcome {
  std::vector<Done> done;         // as the requests
  std::vector<double> high_gaps;  // between the tokens of a session of high priority
  double finish = 0, longest_step = 0;
  double longest_wait = 0;  // of a session in decode, or the prompt that came first, for a step
  std::int64_t steps = 0, most_sessions = 0;
  std::uint64_t digest = 0;  // of all shares
};

Outcome simulate(const std::vector<Request>& list, const BatchLimits& limits, const Policy& policy, const Clock& time) {
  struct Session {
    std::int64_t read = 0, tokens = 0;
    double last = 0;
    std::int64_t rows_at_start = 0;
  };
  std::vector<Session> sessions(list.size());
  Outcome out;
  out.done.resize(list.size());
  double now = 0;
  std::int64_t prompt_rows = 0;
  std::size_t arrived = 0, ended = 0;
  std::vector<Waiting> waiting;
  double first_since = 0;  // when the prompt that came first became that
  std::size_t first_id = list.size();
  while (ended < list.size()) {
    if (ended == arrived) now = std::max(now, list[arrived].came);
    for (; arrived < list.size() && list[arrived].came <= now; ++arrived) {
      sessions[arrived].last = list[arrived].came;
      sessions[arrived].rows_at_start = prompt_rows;
      for (std::size_t i = 0; i <= arrived; ++i) out.done[arrived].before += list[i].prompt - sessions[i].read;
    }
    waiting.clear();
    std::size_t first = list.size();
    for (std::size_t i = 0; i < arrived; ++i) {
      const Session& s = sessions[i];
      if (s.tokens == list[i].output) continue;
      const bool decoding = s.read == list[i].prompt;
      waiting.push_back(
          {i, list[i].priority, decoding ? 1 : list[i].prompt - s.read, decoding, now - list[i].came, now - s.last});
      if (!decoding) first = std::min(first, i);
    }
    if (first != first_id) first_id = first, first_since = now;
    const std::vector<Share> shares = policy(waiting);
    std::int64_t rows = 0;
    for (const Share& share : shares) rows += share.rows;
    const auto sequences = static_cast<std::int64_t>(shares.size());
    EXPECT_TRUE(rows > 0 && rows <= limits.max_rows && sequences <= limits.max_sequences) << rows << ", " << sequences;
    if (rows == 0) return out;
    const double seconds = time(rows, sequences);
    now += seconds;
    out.longest_step = std::max(out.longest_step, seconds);
    out.most_sessions = std::max(out.most_sessions, static_cast<std::int64_t>(waiting.size()));
    ++out.steps;
    for (const Share& share : shares) {
      const auto i = static_cast<std::size_t>(share.id);
      Session& s = sessions[i];
      out.digest = (out.digest * 1099511628211u) ^ (share.id << 20 ^ static_cast<std::uint64_t>(share.rows));
      const double since = i == first_id ? std::max(s.last, first_since) : s.last;
      if (s.read == list[i].prompt) {
        EXPECT_EQ(share.rows, 1);
        ++s.tokens;
        out.longest_wait = std::max(out.longest_wait, now - since);
        if (list[i].priority > 0) out.high_gaps.push_back(now - s.last);
      } else {
        prompt_rows += share.rows;
        s.read += share.rows;
        EXPECT_LE(s.read, list[i].prompt);
        if (i == first_id) out.longest_wait = std::max(out.longest_wait, now - since);
        if (s.read == list[i].prompt) s.tokens = 1, out.done[i].first_token = now - list[i].came;
      }
      s.last = now;
      if (s.tokens == list[i].output) ++ended;
    }
    for (const Share& share : shares) {  // once all rows of the step are counted
      const auto i = static_cast<std::size_t>(share.id);
      if (sessions[i].tokens == 1 && sessions[i].read == list[i].prompt && out.done[i].prompt_rows == 0)
        out.done[i].prompt_rows = prompt_rows - sessions[i].rows_at_start;
    }
  }
  out.finish = now;
  return out;
}

Policy ours(const BatchLimits& limits, const StepSeconds& seconds = machine) {
  return [=](std::span<const Waiting> waiting) { return next_step(waiting, limits, seconds); };
}

double quantile(std::vector<double> x, double q) {
  if (x.empty()) return 0;
  std::sort(x.begin(), x.end());
  return x[std::min(x.size() - 1, static_cast<std::size_t>(q * static_cast<double>(x.size())))];
}
double mean(const std::vector<double>& x) {
  double sum = 0;
  for (double one : x) sum += one;
  return x.empty() ? 0 : sum / static_cast<double>(x.size());
}

void print(unsigned seed, const char* what, double value) { std::printf("  seed %u: %s %.4g\n", seed, what, value); }

// More than the machine can do, all the time; a tenth of the sessions are of high priority. The bound costs nothing
// here because a step of twice the time still computes at the full rate.
TEST(BatchSimulation, HighPriorityKeepsItsPaceUnderFullLoadAndCostsLittle) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const Load load{.seed = seed, .per_second = 30, .high = 0.1};
    std::vector<Request> list = requests(load);
    const BatchLimits limits{.latency_bound = 2 * alone};
    const Outcome kept = simulate(list, limits, ours(limits), machine);
    const double p99 = quantile(kept.high_gaps, 0.99) / alone;
    EXPECT_GT(kept.high_gaps.size(), 1000u);
    EXPECT_LE(p99, 2 + 1e-9) << "seed " << seed;
    EXPECT_EQ(simulate(list, limits, ours(limits), machine).digest, kept.digest) << "not the same again";
    for (Request& request : list) request.priority = 0;
    const Outcome plain = simulate(list, BatchLimits{}, ours(BatchLimits{}), machine);
    EXPECT_LE(kept.finish, 1.05 * plain.finish) << "seed " << seed;
    print(seed, "steps", static_cast<double>(kept.steps));
    print(seed, "p99 between tokens of high priority, times alone", p99);
    print(seed, "time for all, times that without priorities", kept.finish / plain.finish);
  }
}

// The same by learned times, which begin 3 times too short, with 5 % of noise. Half of the steps take longer than was
// predicted, so the bound is set lower than what is to be had.
TEST(BatchSimulation, AlsoByLearnedTimes) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const std::vector<Request> list = requests({.seed = seed, .per_second = 30, .high = 0.1});
    const BatchLimits limits{.latency_bound = 1.75 * alone};
    StepTimes times([](auto rows, auto sequences) { return machine(rows, sequences) / 3; }, limits.max_rows,
                    limits.max_sequences);
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(0, 0.05);
    const Clock clock = [&](std::int64_t rows, std::int64_t sequences) {
      const double seconds = machine(rows, sequences) * std::exp(noise(random));
      times.add(rows, sequences, seconds);
      return seconds;
    };
    const StepSeconds predicted = [&](auto rows, auto sequences) { return times.seconds(rows, sequences); };
    const Outcome kept = simulate(list, limits, ours(limits, predicted), clock);
    const double p99 = quantile(kept.high_gaps, 0.99) / alone;
    EXPECT_LE(p99, 2) << "seed " << seed;
    print(seed, "p99 by learned times", p99);
  }
}

// As bad as can be: sessions of high priority that never cease, a bound that has no room for anybody else.
TEST(BatchSimulation, NobodyStarves) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::vector<Request> list;
    for (int i = 0; i < 12; ++i) list.push_back({0, 1, 10, 40000});
    for (int i = 0; i < 60; ++i) list.push_back({0, 0, 20, 20});
    for (const Request& more : requests({.seed = seed, .requests = 300, .per_second = 20, .high = 0.5}))
      list.push_back({more.came, more.priority, more.prompt / 10 + 1, more.output / 10 + 1});
    const BatchLimits limits{.max_sequences = 16, .latency_bound = alone / 2, .patience = 200 * alone};
    const Outcome out = simulate(list, limits, ours(limits), machine);
    const double k = 4, n = static_cast<double>(out.most_sessions);
    EXPECT_LE(out.longest_wait, limits.patience + (n / k + 2) * out.longest_step) << "seed " << seed;
    const double p99 = quantile(out.high_gaps, 0.99) / alone;
    EXPECT_LE(p99, 2) << "seed " << seed;
    print(seed, "sessions", n);
    print(seed, "longest wait, times patience", out.longest_wait / limits.patience);
    print(seed, "p99 between tokens of high priority, times alone", p99);
  }
}

// Short prompts that keep coming as fast as they can be read do not keep a long one from its end.
TEST(BatchSimulation, EveryPromptEndsInTime) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::vector<Request> list =
        requests({.seed = seed, .requests = 2000, .per_second = 60, .high = 0.3, .mean_prompt = 300, .mean_output = 2});
    list.insert(list.begin(), {0, 0, 100000, 2});
    const BatchLimits limits{.latency_bound = 2 * alone};
    const Outcome out = simulate(list, limits, ours(limits), machine);
    double worst = 0;
    for (const Done& done : out.done) {
      ASSERT_GT(done.prompt_rows, 0);
      ASSERT_LE(done.prompt_rows, 4 * done.before + limits.max_rows) << "seed " << seed;
      worst = std::max(worst, static_cast<double>(done.prompt_rows) / static_cast<double>(done.before));
    }
    print(seed, "rows given to prompts until one's end, by those before it", worst);
    print(seed, "s to the end of 100000 tokens", out.done[0].first_token);
    print(seed, "s alone", 100000.0 / 512 * machine(512, 1));
  }
}

// Other orders of prompts, for comparison: after all decode rows, by `before`; or as much to each.
Policy by(const BatchLimits& limits, bool (*before)(const Waiting& a, const Waiting& b), bool equal = false) {
  return [=](std::span<const Waiting> waiting) {
    std::vector<Waiting> all(waiting.begin(), waiting.end());
    std::sort(all.begin(), all.end(),
              [&](const Waiting& a, const Waiting& b) { return a.decoding != b.decoding ? a.decoding : before(a, b); });
    if (static_cast<std::int64_t>(all.size()) > limits.max_sequences)
      all.resize(static_cast<std::size_t>(limits.max_sequences));
    std::int64_t left = limits.max_rows, prompts = 0;
    for (const Waiting& w : all) prompts += !w.decoding;
    std::vector<Share> shares;
    for (const Waiting& w : all) {
      const std::int64_t most = equal && !w.decoding ? std::max<std::int64_t>(1, left / prompts--) : left;
      const std::int64_t rows = std::min(most, w.rows_left);
      if (rows > 0) shares.push_back({w.id, rows});
      left -= rows;
    }
    return shares;
  };
}

TEST(BatchSimulation, ShortPromptsAreNotStuckAndLongOnesPayLittle) {
  const BatchLimits limits;
  const std::pair<const char*, Policy> policies[] = {
      {"first come", by(limits, [](const Waiting& a, const Waiting& b) { return a.id < b.id; })},
      {"equal parts", by(
                          limits, [](const Waiting& a, const Waiting& b) { return a.id < b.id; }, true)},
      {"shortest", by(limits, [](const Waiting& a, const Waiting& b) { return a.rows_left < b.rows_left; })},
      {"ours", ours(limits)},
  };
  std::map<std::string, double> of_short, of_long, longest;
  for (const auto& [name, policy] : policies) {
    std::vector<double> short_ones, long_ones;
    for (unsigned seed = 1; seed <= 4; ++seed) {
      const auto list = requests({.seed = seed, .requests = 1500, .per_second = 11, .mean_output = 20});
      const Outcome out = simulate(list, limits, policy, machine);
      for (std::size_t i = 0; i < list.size(); ++i)
        (list[i].prompt <= 1000 ? short_ones : long_ones).push_back(out.done[i].first_token);
    }
    of_short[name] = mean(short_ones);
    of_long[name] = quantile(long_ones, 0.99);
    std::printf(
        "  %-12s s to the first token: up to 1000 tokens mean %.3f p99 %.3f, longer mean %.3f p99 %.3f max %.3f\n",
        name, mean(short_ones), quantile(short_ones, 0.99), mean(long_ones), quantile(long_ones, 0.99),
        quantile(long_ones, 1));
  }
}

}  // namespace
}  // namespace switchyard::scheduler
