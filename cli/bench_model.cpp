// Prefill, decode and several sessions at once, on the devices the model was placed on.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "cli/bench.h"
#include "probes/json.h"
#include "probes/measure/measure.h"
#include "scheduler/cost/cost.h"
#include "scheduler/run/pipeline.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;
using scheduler::Executor;
using scheduler::WantLogits;

// The limit of every step of a test, each unit on its device.
class Limits {
 public:
  Limits(Fleet& fleet, const Executor& executor, const scheduler::StageOptions& options)
      : units_(scheduler::units_of(executor.model(), options)), chunk_(options.max_rows) {
    for (const auto& s : executor.report()) {
      device_of_.resize(static_cast<std::size_t>(s.last), s.device);
      auto [rates, fresh] = rates_.try_emplace(s.device);
      if (!fresh) continue;
      hal::DeviceRef device = fleet.open(s.device);
      check(probes::measure_rates(*device, probes::quick_effort, rates->second,
                                  [&](const std::string& what) { progress(s.device + " " + what, 0.0); }));
      progress("", 1.0);
    }
  }
  const std::map<std::string, probes::DeviceProfile>& rates() const { return rates_; }

  scheduler::Limit prefill(std::int64_t tokens) const {
    scheduler::Limit sum;
    for (std::int64_t past = 0; past < tokens; past += chunk_)
      add(sum, {std::min(chunk_, tokens - past), 1, past, past + chunk_ >= tokens ? 1 : 0}, 1);
    return sum;
  }
  // The work of a step grows evenly with the past, so the middle step stands for all.
  scheduler::Limit decode(std::int64_t steps, std::int64_t sessions, std::int64_t prompt) const {
    scheduler::Limit sum;
    add(sum, {sessions, sessions, prompt + steps / 2, sessions}, static_cast<double>(steps));
    return sum;
  }

 private:
  void add(scheduler::Limit& sum, const probes::Step& step, double times) const {
    for (std::size_t u = 0; u < units_.size(); ++u) {
      const auto one = scheduler::limit_of(rates_.at(device_of_[u]), units_[u].segment, step);
      sum.seconds += times * one.seconds, sum.memory += times * one.memory, sum.compute += times * one.compute;
    }
  }
  std::vector<scheduler::Unit> units_;
  std::int64_t chunk_;
  std::vector<std::string> device_of_;
  std::map<std::string, probes::DeviceProfile> rates_;
};

struct Test {
  std::string name;
  double tokens = 0;
  Spread seconds;
  std::function<scheduler::Limit(const Limits&)> limit;  // the least time this machine could take
  double predicted = 0;                                  // tokens per second, by the plan; 0: it does not say
};

double seconds_of(const std::function<void()>& work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<std::int32_t> prompt_of(const Executor& executor, std::int64_t n) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<std::int32_t>((i * 7919 + 13) % executor.model().config.vocab));
  return tokens;
}

double prefill(Executor& executor, std::int64_t n) {
  auto session = check(executor.create_sequence());
  auto tokens = prompt_of(executor, n);
  return seconds_of([&] { check(executor.feed(*session, tokens, WantLogits::last)); });
}

constexpr std::int64_t first_prompt = 8;  // of the first session to decode; each further one has a token more

// n tokens of each of `sessions` sessions, one token of each per step; in several groups, a step of each in flight.
double decode(Executor& executor, std::int64_t n, std::int64_t sessions, std::int64_t groups = 1) {
  std::vector<std::unique_ptr<scheduler::Sequence>> all;
  std::vector<std::int32_t> next;
  for (std::int64_t s = 0; s < sessions; ++s) {
    all.push_back(check(executor.create_sequence()));
    auto logits = check(executor.feed(*all.back(), prompt_of(executor, first_prompt + s), WantLogits::last));
    next.push_back(scheduler::greedy(logits));
  }
  const auto begin_of = [&](std::size_t group) { return group * all.size() / static_cast<std::size_t>(groups); };
  const auto step_of = [&](std::size_t group) {
    scheduler::GroupStep items;
    for (std::size_t s = begin_of(group); s < begin_of(group + 1); ++s)
      items.push_back({all[s].get(), {&next[s], 1}, WantLogits::last});
    return items;
  };
  const auto take = [&](std::size_t group, const scheduler::StepResult& result) {
    for (std::size_t i = 0; i < result.logits.size(); ++i)
      next[begin_of(group) + i] = scheduler::greedy(result.logits[i]);
  };
  return seconds_of([&] {
    if (groups == 1) {
      for (std::int64_t i = 0; i < n; ++i) take(0, check(executor.step(step_of(0))));
      return;
    }
    std::vector<scheduler::GroupStep> first;
    for (std::size_t g = 0; g < static_cast<std::size_t>(groups); ++g) first.push_back(step_of(g));
    const auto done = check(scheduler::Pipeline::run(
        executor, std::move(first), [&](std::size_t group, std::int64_t round, const scheduler::StepResult& result) {
          take(group, result);
          return round + 1 < n ? step_of(group) : scheduler::GroupStep{};
        }));
    for (const auto& group : done.groups)
      if (group.error) fail(exit_code(*group.error), hal::describe(*group.error));
  });
}

}  // namespace

Spread spread_of(std::vector<double> samples) {
  std::vector<double> sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  return {sorted[sorted.size() / 2], sorted.front(), sorted.back(), std::move(samples)};
}

void bench_model(const BenchArguments& a, const Global& global) {
  Fleet fleet(global);
  ModelArguments chosen;
  chosen.model = a.model;
  chosen.weights = a.weights;
  chosen.seed = a.seed;
  Placed placed;
  const double load =
      seconds_of([&] { placed = place(a.placement, fleet, chosen.load(), std::max(a.prompt, a.generate + 64)); });
  Executor* const executor = placed.executor.get();
  // A plan for so many sessions says in how many groups.
  const bool planned = placed.plan && placed.plan->mode == to_string(scheduler::Mode::throughput) &&
                       placed.plan->sessions == a.parallel &&
                       placed.plan->step_rows == (a.parallel + placed.plan->groups - 1) / placed.plan->groups;
  const std::int64_t groups = planned ? placed.plan->groups : 1;

  std::vector<Test> tests;
  auto add = [&](const std::string& name, std::int64_t tokens, std::function<scheduler::Limit(const Limits&)> limit,
                 const std::function<double()>& once) {
    once();  // warm-up
    std::vector<double> samples;
    for (std::int64_t r = 0; r < a.repeats; ++r) {
      progress(name, static_cast<double>(r) / static_cast<double>(a.repeats));
      samples.push_back(once());
    }
    progress(name, 1.0);
    tests.push_back({name, static_cast<double>(tokens), spread_of(std::move(samples)), std::move(limit), 0});
  };
  const std::string generate = "tg" + std::to_string(a.generate);
  if (a.prompt > 0)
    add(
        "pp" + std::to_string(a.prompt), a.prompt, [&](const Limits& l) { return l.prefill(a.prompt); },
        [&] { return prefill(*executor, a.prompt); });
  if (a.prompt > 0 && placed.plan && placed.plan->prompt == a.prompt)
    tests.back().predicted = static_cast<double>(a.prompt) / placed.plan->prefill_seconds;
  if (a.generate > 0)
    add(
        generate, a.generate, [&](const Limits& l) { return l.decode(a.generate, 1, first_prompt); },
        [&] { return decode(*executor, a.generate, 1); });
  if (a.generate > 0 && placed.plan && placed.plan->step_rows == 1 && placed.plan->groups == 1)
    tests.back().predicted = 1 / placed.plan->step_seconds;
  if (a.generate > 0 && a.parallel > 1)
    add(
        generate + "x" + std::to_string(a.parallel) + (groups > 1 ? "/" + std::to_string(groups) : std::string()),
        a.generate * a.parallel,
        [&](const Limits& l) { return l.decode(a.generate, a.parallel, first_prompt + a.parallel / 2); },
        [&] { return decode(*executor, a.generate, a.parallel, groups); });
  if (planned && a.generate > 0 && a.parallel > 1) tests.back().predicted = placed.plan->tokens_per_second;

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);  // before the rates are measured, which takes memory that the model does not need
  const Limits limits(fleet, *executor, executor->options());
  std::string devices;
  for (const auto& s : executor->report()) devices += (devices.empty() ? "" : "+") + s.device;
  json results = json::array();
  for (const Test& t : tests) {
    const scheduler::Limit limit = t.limit(limits);
    json samples = json::array();
    for (double s : t.seconds.samples) samples.push_back(t.tokens / s);
    results.push_back({{"test", t.name},
                       {"device", devices},
                       {"tokens_per_second",
                        {{"median", t.tokens / t.seconds.median},
                         {"min", t.tokens / t.seconds.max},
                         {"max", t.tokens / t.seconds.min},
                         {"samples", samples}}},
                       {"predicted_tokens_per_second", t.predicted > 0 ? json(t.predicted) : json()},
                       {"percent_of_limit", 100 * limit.seconds / t.seconds.median},
                       {"limit", limit.memory > limit.compute ? "memory" : "compute"}});
  }
  json rates = json::array();
  for (const auto& [device, r] : limits.rates()) rates.push_back(limits_json(device, r));
  if (global.json) {
    json out{{"schema", "switchyard.bench/2"},
             {"model", executor->model().name},
             {"seeded", executor->model().seeded},
             {"results", results},
             {"limits", rates},
             {"load_seconds", load},
             {"peak_rss_bytes", usage.ru_maxrss * 1024}};
    std::printf("%s\n", probes::text_of(out, 2).c_str());
    return;
  }
  std::printf("%s on %s: loaded in %.2f s, peak memory %.2f GB\n", executor->model().name.c_str(), devices.c_str(),
              load, static_cast<double>(usage.ru_maxrss) * 1024 / 1e9);
  for (const auto& [device, r] : limits.rates())
    std::printf("%s in this run: %s\n", device.c_str(), limits_text(r).c_str());
  std::printf("%-10s %12s %12s %12s  %10s   tokens/s, %lld runs; %% of the least time by those rates\n", "test",
              "median", "min", "max", "of limit", static_cast<long long>(a.repeats));
  for (const json& r : results) {
    const json& t = r["tokens_per_second"];
    std::string text(64, 0);
    const json& predicted = r["predicted_tokens_per_second"];
    text.resize(static_cast<std::size_t>(
        predicted.is_null() ? 0
                            : std::snprintf(text.data(), text.size(), ", predicted %.1f", predicted.get<double>())));
    std::printf("%-10s %12.1f %12.1f %12.1f  %8.0f %% (%s)%s\n", r["test"].get<std::string>().c_str(),
                t["median"].get<double>(), t["min"].get<double>(), t["max"].get<double>(),
                r["percent_of_limit"].get<double>(), r["limit"].get<std::string>().c_str(), text.c_str());
  }
}

}  // namespace switchyard::cli
