// Prefill, decode and several sessions at once, on the devices the model was placed on.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;
using scheduler::Engine;
using scheduler::WantLogits;

struct Test {
  std::string name;
  double tokens = 0;
  Spread seconds;
};

double seconds_of(const std::function<void()>& work) {
  auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<std::int32_t> prompt_of(const Engine& engine, std::int64_t n) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<std::int32_t>((i * 7919 + 13) % engine.model().config.vocab));
  return tokens;
}

double prefill(Engine& engine, std::int64_t n) {
  auto session = check(engine.create_session());
  auto tokens = prompt_of(engine, n);
  return seconds_of([&] { check(engine.feed(*session, tokens, WantLogits::last)); });
}

// n tokens of each of `sessions` sessions, one token of each per step.
double decode(Engine& engine, std::int64_t n, std::int64_t sessions) {
  std::vector<std::unique_ptr<scheduler::Session>> all;
  std::vector<std::int32_t> next;
  for (std::int64_t s = 0; s < sessions; ++s) {
    all.push_back(check(engine.create_session()));
    auto logits = check(engine.feed(*all.back(), prompt_of(engine, 8 + s), WantLogits::last));
    next.push_back(scheduler::greedy(logits));
  }
  return seconds_of([&] {
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<scheduler::StepItem> items;
      for (std::size_t s = 0; s < all.size(); ++s) items.push_back({all[s].get(), {&next[s], 1}, WantLogits::last});
      auto result = check(engine.step(items));
      for (std::size_t s = 0; s < all.size(); ++s) next[s] = scheduler::greedy(result.logits[s]);
    }
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
  std::unique_ptr<Engine> engine;
  const double load = seconds_of(
      [&] { engine = place(a.placement, fleet, chosen.load(), std::max(a.prompt, a.generate + 64)).engine; });

  std::vector<Test> tests;
  auto add = [&](const std::string& name, std::int64_t tokens, const std::function<double()>& once) {
    once();  // warm-up
    std::vector<double> samples;
    for (std::int64_t r = 0; r < a.repeats; ++r) {
      progress(name, static_cast<double>(r) / static_cast<double>(a.repeats));
      samples.push_back(once());
    }
    progress(name, 1.0);
    tests.push_back({name, static_cast<double>(tokens), spread_of(std::move(samples))});
  };
  if (a.prompt > 0) add("pp" + std::to_string(a.prompt), a.prompt, [&] { return prefill(*engine, a.prompt); });
  if (a.generate > 0)
    add("tg" + std::to_string(a.generate), a.generate, [&] { return decode(*engine, a.generate, 1); });
  if (a.generate > 0 && a.parallel > 1)
    add("tg" + std::to_string(a.generate) + "x" + std::to_string(a.parallel), a.generate * a.parallel,
        [&] { return decode(*engine, a.generate, a.parallel); });

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::string devices;
  for (const auto& s : engine->report()) devices += (devices.empty() ? "" : "+") + s.device;
  json results = json::array();
  for (const Test& t : tests) {
    json samples = json::array();
    for (double s : t.seconds.samples) samples.push_back(t.tokens / s);
    results.push_back({{"test", t.name},
                       {"device", devices},
                       {"tokens_per_second",
                        {{"median", t.tokens / t.seconds.median},
                         {"min", t.tokens / t.seconds.max},
                         {"max", t.tokens / t.seconds.min},
                         {"samples", samples}}}});
  }
  if (global.json) {
    json out{{"schema", "switchyard.bench/1"},
             {"model", engine->model().name},
             {"seeded", engine->model().seeded},
             {"results", results},
             {"load_seconds", load},
             {"peak_rss_bytes", usage.ru_maxrss * 1024}};
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  std::printf("%s on %s: loaded in %.2f s, peak memory %.2f GB\n", engine->model().name.c_str(), devices.c_str(), load,
              static_cast<double>(usage.ru_maxrss) * 1024 / 1e9);
  std::printf("%-10s %12s %12s %12s   tokens/s, %lld runs\n", "test", "median", "min", "max",
              static_cast<long long>(a.repeats));
  for (const json& r : results) {
    const json& t = r["tokens_per_second"];
    std::printf("%-10s %12.1f %12.1f %12.1f\n", r["test"].get<std::string>().c_str(), t["median"].get<double>(),
                t["min"].get<double>(), t["max"].get<double>());
  }
}

}  // namespace switchyard::cli
