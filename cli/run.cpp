// switchyard run MODEL --tokens 1,2,3 -n N: a greedy continuation; token ids on stdout.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/generate.h"
#include "scheduler/experts/trace.h"
#include "scheduler/run/sampler.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

struct Arguments {
  ModelArguments model;
  PlacementArguments placement;
  std::string tokens, record_routing;
  std::int64_t n = 16;
  bool stats = false;
  kernels::sampling::Attrs sampling;
  std::uint64_t sample_seed = 1;
};

json ran_on(const scheduler::Engine& engine) {
  json list = json::array();
  for (const scheduler::StageReport& s : engine.report()) {
    json layers = json::array(), units = json::array();  // layers: with at least one of their parts here
    for (std::int64_t unit = s.first; unit < s.last; ++unit) {
      const std::int64_t layer = models::part_of(engine.model(), unit).layer;
      if (layer >= 0 && (layers.empty() || layers.back() != layer)) layers.push_back(layer);
      units.push_back(models::unit_name(engine.model(), unit));
    }
    list.push_back({{"device", s.device},
                    {"layers", layers},
                    {"units", units},
                    {"embedding", s.first == 0},
                    {"head", s.last == models::unit_count(engine.model())},
                    {"seconds", s.seconds},
                    {"bytes", s.resident + s.state},
                    {"weight_bytes", s.resident},
                    {"state_bytes", s.state}});
  }
  return list;
}

void run(const Arguments& a, const Global& global) {
  if (a.n < 0) fail(usage, "-n " + std::to_string(a.n) + ": expected 0 or more");
  std::vector<std::int32_t> prompt = token_list(a.tokens);
  Fleet fleet(global);
  models::Model model = a.model.load();
  PlacementArguments placement = a.placement;
  scheduler::RoutingTrace routing;
  hal::Status recorded = hal::ok();
  if (!a.record_routing.empty()) {
    routing = check(scheduler::trace_for(model));
    check(scheduler::save(routing, a.record_routing));  // a file that cannot be written is told now
    placement.on_routing = [&](const scheduler::StepRouting& step) {
      if (recorded) recorded = routing.add(step);
    };
  }
  Placed placed = place(placement, fleet, std::move(model), static_cast<std::int64_t>(prompt.size()) + a.n);
  auto& engine = placed.engine;
  auto session = check(engine->create_session());

  // Greedy needs no device: the largest logit. Sampling is an op, on the first device that takes it.
  std::unique_ptr<scheduler::Sampler> sampler;
  if (a.sampling.temperature > 0)
    sampler =
        check(scheduler::Sampler::make(fleet.open("cpu:0"), engine->model().config.vocab, a.sampling, a.sample_seed));
  auto choose = [&](const std::vector<float>& logits) {
    return sampler ? check(sampler->sample(logits)) : scheduler::greedy(logits);
  };

  auto clock = [] { return std::chrono::steady_clock::now(); };
  auto seconds = [](auto from, auto to) { return std::chrono::duration<double>(to - from).count(); };
  const auto begin = clock();
  std::vector<float> logits = check(engine->feed(*session, prompt, scheduler::WantLogits::last));
  const auto prefilled = clock();
  std::vector<std::int32_t> made;
  while (static_cast<std::int64_t>(made.size()) < a.n) {
    made.push_back(choose(logits));
    if (!global.json) {
      std::printf("%s%d", made.size() > 1 ? "," : "", made.back());
      std::fflush(stdout);
    }
    logits = check(engine->feed(*session, {&made.back(), 1}, scheduler::WantLogits::last));
  }
  const auto end = clock();
  fleet.finish();
  if (!a.record_routing.empty()) {
    check(recorded);
    check(scheduler::save(routing, a.record_routing));
    say("routing of " + std::to_string(routing.tokens()) + " tokens written to " + a.record_routing +
        " (`switchyard experts` reads it)");
  }
  const double prefill = seconds(begin, prefilled), decode = seconds(prefilled, end);

  if (global.json) {
    json out{{"schema", "switchyard.run/1"},
             {"model", engine->model().name},
             {"seeded", engine->model().seeded},
             {"tokens", made},
             {"ran_on", ran_on(*engine)},
             {"steps", engine->steps()},
             {"step_seconds",
              {{"predicted", placed.plan ? json(placed.plan->step_seconds) : json(nullptr)},
               {"measured", made.empty() ? json(nullptr) : json(decode / static_cast<double>(made.size()))}}},
             {"prefill", {{"tokens", prompt.size()}, {"seconds", prefill}}},
             {"decode", {{"tokens", made.size()}, {"seconds", decode}}}};
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  std::printf("\n");
  std::fflush(stdout);  // before the words on stderr, also in a pipe
  if (!a.stats) return;
  char line[160];
  std::snprintf(line, sizeof line,
                "prefill %zu tokens in %.3f s (%.1f tokens/s), decode %zu tokens in %.3f s (%.1f tokens/s)",
                prompt.size(), prefill, static_cast<double>(prompt.size()) / prefill, made.size(), decode,
                made.empty() ? 0.0 : static_cast<double>(made.size()) / decode);
  say(line);
  if (placed.plan && !made.empty()) {
    const double step = decode / static_cast<double>(made.size());
    std::snprintf(line, sizeof line, "decode step: predicted %.3f ms, measured %.3f ms (%+.0f %%)",
                  placed.plan->step_seconds * 1e3, step * 1e3, 100 * (step / placed.plan->step_seconds - 1));
    say(line);
  }
  for (const scheduler::StageReport& s : engine->report()) {
    std::snprintf(line, sizeof line,
                  "  %-12s units %lld..%lld  %.3f s on the device  weights %.1f MB  state and scratch %.1f MB",
                  s.device.c_str(), static_cast<long long>(s.first), static_cast<long long>(s.last - 1), s.seconds,
                  static_cast<double>(s.resident) / 1e6, static_cast<double>(s.state) / 1e6);
    say(line);
  }
}

}  // namespace

void add_run(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("run", "continue a prompt of token ids on the devices found");
  a->model.add_to(*verb);
  a->placement.add_to(*verb);
  a->placement.experts.add_to(*verb);
  verb->add_option("--tokens", a->tokens, "the prompt: token ids with commas")->required();
  verb->add_option("-n", a->n, "tokens to make")->capture_default_str();
  verb->add_option("--temperature", a->sampling.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb->add_option("--top-k", a->sampling.top_k, "0: all")->check(CLI::NonNegativeNumber)->capture_default_str();
  verb->add_option("--top-p", a->sampling.top_p)->check(CLI::Range(0.0, 1.0))->capture_default_str();
  verb->add_option("--sample-seed", a->sample_seed)->capture_default_str();
  verb->add_option("--record-routing", a->record_routing, "file for the experts that every token chose");
  verb->add_flag("--stats", a->stats, "speed, and what ran where, on stderr");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
