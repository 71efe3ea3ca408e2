// switchyard run MODEL --tokens 1,2,3 -n N: a greedy continuation; token ids on stdout.
#include <cstdio>
#include <fstream>

#include "cli/generate.h"
#include "probes/json.h"
#include "scheduler/drift/observed.h"
#include "scheduler/experts/trace.h"
#include "scheduler/run/sampler.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

struct Arguments {
  ModelArguments model;
  PlacementArguments placement;
  std::string tokens, record, record_routing;
  std::int64_t n = 16;
  bool stats = false;
  kernels::sampling::Attrs sampling;
  std::uint64_t sample_seed = 1;
};

json ran_on(const scheduler::Executor& executor) {
  json list = json::array();
  for (const scheduler::StageReport& s : executor.report()) {
    json layers = json::array(), units = json::array();  // layers: with at least one of their parts here
    for (std::int64_t unit = s.first; unit < s.last; ++unit) {
      const std::int64_t layer = models::part_of(executor.model(), unit).layer;
      if (layer >= 0 && (layers.empty() || layers.back() != layer)) layers.push_back(layer);
      units.push_back(models::unit_name(executor.model(), unit));
    }
    list.push_back({{"device", s.device},
                    {"layers", layers},
                    {"units", units},
                    {"embedding", s.first == 0},
                    {"head", s.last == models::unit_count(executor.model())},
                    {"seconds", s.seconds},
                    {"bytes", s.resident + s.state},
                    {"weight_bytes", s.resident},
                    {"state_bytes", s.state}});
  }
  return list;
}

json stages_of(const std::vector<scheduler::ObservedStage>& stages) {
  json list = json::array();
  for (const scheduler::ObservedStage& s : stages) {
    const bool predicted = s.predicted > 0;
    list.push_back({{"device", s.device},
                    {"first", s.first},
                    {"last", s.last},
                    {"phase", to_string(s.phase)},
                    {"samples", s.samples},
                    {"measured_seconds", s.measured},
                    {"predicted_seconds", predicted ? json(s.predicted) : json(nullptr)},
                    {"ratio", predicted ? json(s.ratio) : json(nullptr)},
                    {"drift", s.drift.empty() ? json(nullptr) : json(s.drift)}});
  }
  return list;
}

void say_stages(const std::vector<scheduler::ObservedStage>& stages) {
  char line[200];
  std::snprintf(line, sizeof line, "  %-12s %-7s %6s %12s %12s %7s  %-9s %s", "device", "phase", "steps", "predicted",
                "measured", "ratio", "drift", "units");
  say(line);
  for (const scheduler::ObservedStage& s : stages) {
    char predicted[32] = "-", ratio[16] = "-";
    if (s.predicted > 0) {
      std::snprintf(predicted, sizeof predicted, "%.3f ms", s.predicted * 1e3);
      std::snprintf(ratio, sizeof ratio, "%.2f", s.ratio);
    }
    std::snprintf(line, sizeof line, "  %-12s %-7s %6lld %12s %9.3f ms %7s  %-9s ", s.device.c_str(),
                  to_string(s.phase), static_cast<long long>(s.samples), predicted, s.measured * 1e3, ratio,
                  s.drift.empty() ? "-" : s.drift.c_str());
    say(line + s.first + (s.units > 1 ? " .. " + s.last : ""));
  }
}

void record(const std::string& path, const Placed& placed, const Fleet& fleet,
            const std::vector<scheduler::ObservedStage>& stages) {
  scheduler::Observed run;
  run.model = placed.executor->model().name;
  run.model_hash = placed.executor->model().content_hash;
  run.machine = probes::key(fleet.machine());
  if (placed.plan) {
    run.mode = placed.plan->mode;
    run.objective = placed.plan->objective;
  }
  run.stages = stages;
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << to_json_line(run);
  file.flush();
  if (!file) fail(failed, "cannot write " + path);
}

void run(const Arguments& a, const Global& global) {
  if (a.n < 0) fail(usage, "-n " + std::to_string(a.n) + ": expected 0 or more");
  std::vector<std::int32_t> prompt = token_list(a.tokens);
  if (!a.record.empty() && !std::ofstream(a.record, std::ios::app)) fail(failed, "cannot write " + a.record);
  Fleet fleet(global);
  models::Model model = a.model.load();
  check(scheduler::check_tokens(prompt, model.config.vocab));  // all, before a part of them has run
  PlacementArguments placement = a.placement;
  scheduler::RoutingTrace routing;
  hal::Status recorded = hal::ok();
  if (!a.record_routing.empty()) {
    routing = check(scheduler::trace_for(model));
    if (!std::ofstream(a.record_routing, std::ios::app)) fail(failed, "cannot write " + a.record_routing);
    placement.on_routing = [&](const scheduler::StepRouting& step) {
      if (recorded) recorded = routing.add(step);
    };
  }
  Placed placed = place(placement, fleet, std::move(model), static_cast<std::int64_t>(prompt.size()) + a.n);
  auto& executor = placed.executor;
  auto session = check(executor->create_sequence());

  // Greedy needs no device: the largest logit. Sampling is an op, on the first device that takes it.
  std::unique_ptr<scheduler::Sampler> sampler;
  if (a.sampling.temperature > 0)
    sampler =
        check(scheduler::Sampler::make(fleet.open("cpu:0"), executor->model().config.vocab, a.sampling, a.sample_seed));
  auto choose = [&](const std::vector<float>& logits) {
    return sampler ? check(sampler->sample(logits)) : scheduler::greedy(logits);
  };

  auto clock = [] { return std::chrono::steady_clock::now(); };
  auto seconds = [](auto from, auto to) { return std::chrono::duration<double>(to - from).count(); };
  scheduler::StepObserver observer(*executor, placed.profile ? &*placed.profile : nullptr);
  std::vector<float> logits;
  double watching[2] = {0, 0};  // the observer's own seconds, which are no part of the run
  auto feed = [&](std::span<const std::int32_t> tokens, scheduler::Phase phase, bool last) {
    const probes::Step size{static_cast<std::int64_t>(tokens.size()), 1,
                            static_cast<std::int64_t>(session->log().size()), last ? 1 : 0};
    logits = check(executor->feed(*session, tokens, last ? scheduler::WantLogits::last : scheduler::WantLogits::none));
    const auto fed = clock();
    observer.after(phase, size);
    watching[static_cast<std::size_t>(phase)] += seconds(fed, clock());
  };
  const auto begin = clock();
  const auto chunk = static_cast<std::size_t>(executor->options().max_rows);
  for (std::size_t past = 0; past < prompt.size(); past += chunk)
    feed(std::span(prompt).subspan(past, std::min(chunk, prompt.size() - past)), scheduler::Phase::prefill,
         past + chunk >= prompt.size());
  const auto prefilled = clock();
  std::vector<std::int32_t> made;
  while (static_cast<std::int64_t>(made.size()) < a.n) {
    made.push_back(choose(logits));
    if (!global.json) {
      std::printf("%s%d", made.size() > 1 ? "," : "", made.back());
      std::fflush(stdout);
    }
    feed({&made.back(), 1}, scheduler::Phase::decode, true);
  }
  const auto end = clock();
  fleet.finish();
  if (!a.record_routing.empty()) {
    check(recorded);
    check(scheduler::save(routing, a.record_routing));
    say("routing of " + std::to_string(routing.tokens()) + " tokens written to " + a.record_routing +
        " (`switchyard experts` reads it)");
  }
  const std::vector<scheduler::ObservedStage> stages = observer.stages();
  if (!a.record.empty()) record(a.record, placed, fleet, stages);
  const double prefill = seconds(begin, prefilled) - watching[0], decode = seconds(prefilled, end) - watching[1];

  if (global.json) {
    json out{{"schema", "switchyard.run/1"},
             {"model", executor->model().name},
             {"seeded", executor->model().seeded},
             {"tokens", made},
             {"ran_on", ran_on(*executor)},
             {"stages", stages_of(stages)},
             {"steps", executor->steps()},
             {"step_seconds",
              {{"predicted", placed.plan ? json(placed.plan->step_seconds) : json(nullptr)},
               {"measured", made.empty() ? json(nullptr) : json(decode / static_cast<double>(made.size()))}}},
             {"prefill", {{"tokens", prompt.size()}, {"seconds", prefill}}},
             {"decode", {{"tokens", made.size()}, {"seconds", decode}}}};
    std::printf("%s\n", probes::text_of(out, 2).c_str());
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
  for (const scheduler::StageReport& s : executor->report()) {
    std::snprintf(line, sizeof line, "  %-12s units %lld..%lld  %.3f s on the device  weights %.1f MB  state %.1f MB",
                  s.device.c_str(), static_cast<long long>(s.first), static_cast<long long>(s.last - 1), s.seconds,
                  static_cast<double>(s.resident) / 1e6, static_cast<double>(s.state) / 1e6);
    say(line);
  }
  say_stages(stages);
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
  verb->add_flag("--stats", a->stats, "speed, what ran where, and steps as predicted and measured, on stderr");
  verb->add_option("--record", a->record,
                   "append a line of JSON to this file: the steps of every stage, as predicted and measured");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
