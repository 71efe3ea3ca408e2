// switchyard plan MODEL: who gets which layer, in what time, and why.
#include <cstdio>
#include <set>

#include "cli/generate.h"
#include "models/shapes/shapes.h"
#include "probes/json.h"
#include "scheduler/plan/text.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  PrecisionArguments precision;
  ModelArguments model;
  TargetArguments target;
  std::string context = "4096", mode = "latency", device, experts, out, html;
  std::int64_t sessions = 1, groups = 0, prompt = 512;
  std::vector<std::string> pins;
  bool explain = false, table = false, strict = false;
};

scheduler::PlanRequest request_of(const Arguments& a, const models::Model& model, const Target& target,
                                  scheduler::StageOptions options) {
  scheduler::PlanRequest request = scheduler::request_for(model, options);
  request.sessions = a.sessions;
  request.groups = a.groups;
  request.prompt = a.prompt;
  request.mode = check(scheduler::mode_from(a.mode));
  request.strict = a.strict;
  if (!a.device.empty() && a.device != "auto") {
    const auto choice = probes::resolve(target.machine, a.device);
    if (!choice) fail(no_device, choice.error().message);
    request.device = choice->id;
  }
  if (!a.experts.empty()) request.experts = trace_of(a.experts, model);
  for (const std::string& pin : a.pins)
    request.pins.push_back(check(scheduler::pin_from(pin, request.units, target.machine)));
  return request;
}

// What fits, where and how fast, for contexts, sessions and, of a built-in shape, weight types.
void run_table(const Arguments& a, const Target& target, scheduler::StageOptions options, const Global& global) {
  const std::vector<std::int64_t> contexts{4096, 16384, 32768, 65536, 131072}, sessions{1, 2, 4, 8, 16};
  std::vector<std::string> weights{a.model.weights};
  if (models::find_shape(a.model.model)) weights = {"q4_k", "q8_0", "bf16"};
  nlohmann::json rows = nlohmann::json::array();
  std::string text;
  for (const std::string& type : weights) {
    Arguments asked = a;
    asked.model.weights = type;
    asked.mode = "throughput";
    const models::Model model = asked.model.load(true);
    text += (rows.empty() ? "" : "\n") + model.name + (weights.size() > 1 ? " in " + type : std::string()) +
            ": memory, tokens/s of all sessions, devices\n";
    char cell[64];
    for (const char* head : {"context", "1 session", "2 sessions", "4 sessions", "8 sessions", "16 sessions"}) {
      std::snprintf(cell, sizeof cell, head == std::string("context") ? "%8s" : "  %-30s", head);
      text += cell;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
    for (std::int64_t context : contexts) {
      std::snprintf(cell, sizeof cell, "%8lld", static_cast<long long>(context));
      text += cell;
      for (std::int64_t n : sessions) {
        progress("planning " + type, static_cast<double>(rows.size()) /
                                         static_cast<double>(weights.size() * contexts.size() * sessions.size()));
        options.context = context;
        asked.sessions = n;
        const auto plan = check(scheduler::make_plan(target.machine, target.profile,
                                                     request_of(asked, model, target, options), target.claim));
        std::set<std::string> used;
        for (const scheduler::PlannedLayer& l : plan.layers) {
          used.insert(l.device);
          if (l.experts) used.insert(l.experts->device);
        }
        rows.push_back({{"weights", type},
                        {"context", context},
                        {"sessions", n},
                        {"fits", plan.fits},
                        {"bytes", plan.total_bytes},
                        {"tokens_per_second", plan.fits ? nlohmann::json(plan.tokens_per_second) : nlohmann::json()},
                        {"devices", used}});
        const double gb = static_cast<double>(plan.total_bytes) / 1e9;
        if (plan.fits)
          std::snprintf(cell, sizeof cell, "%6.2f GB %6.4g/s ", gb, plan.tokens_per_second);
        else
          std::snprintf(cell, sizeof cell, "%6.2f GB does not fit", gb);
        const std::string shown = plan.fits ? cell + scheduler::list({used.begin(), used.end()}) : std::string(cell);
        text += "  " + shown + std::string(30 - std::min<std::size_t>(30, shown.size()), ' ');
      }
      text.erase(text.find_last_not_of(' ') + 1);
      text += "\n";
    }
  }
  progress("", 1.0);
  const nlohmann::json out{{"schema", "switchyard.plan_table/1"}, {"model", a.model.model}, {"plans", rows}};
  std::printf("%s", global.json ? (probes::text_of(out, 2) + "\n").c_str() : text.c_str());
  if (!a.out.empty()) write_text(a.out, probes::text_of(out, 2) + "\n");
}

void run(const Arguments& a, const Global& global) {
  scheduler::StageOptions options;
  options.context = count(a.context);
  a.precision.apply(options);
  check(scheduler::supported(check(scheduler::mode_from(a.mode))));
  const models::Model model = a.model.load(true);
  const Target target = target_for(a.target, global, {&model}, options);
  if (a.table) return run_table(a, target, options, global);
  scheduler::PlanRequest request = request_of(a, model, target, options);
  request.effort = 10;  // a tenth of a second is worth a smaller gap to who waits for one plan
  request.advise = true;
  const scheduler::Plan plan = check(scheduler::make_plan(target.machine, target.profile, request, target.claim));
  const std::string text = to_json(plan);
  if (!a.out.empty()) write_text(a.out, text + "\n");
  if (!a.html.empty()) write_text(a.html, scheduler::to_html(plan));
  const std::string reasons = scheduler::explain(plan);
  std::printf("%s\n", global.json ? text.c_str() : reasons.c_str());
  if (global.json && a.explain) say(reasons);
  if (!plan.fits) fail(failed, "the plan does not fit: " + plan.shortage);
}

}  // namespace

void add_plan(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb =
      app.add_subcommand("plan", "place a model's layers on the devices, with predicted times and reasons");
  a->model.add_to(*verb);
  a->target.add_to(*verb);
  CLI::Option* context =
      verb->add_option("--ctx", a->context, "tokens of every session to keep memory for, such as 4096 or 128k")
          ->capture_default_str();
  CLI::Option* sessions =
      verb->add_option("--sessions", a->sessions)->check(CLI::PositiveNumber)->capture_default_str();
  CLI::Option* groups = verb->add_option("--groups", a->groups,
                                         "with --mode throughput: groups of sessions with a step of each in flight, on "
                                         "different devices; default: as many as is best")
                            ->check(CLI::PositiveNumber);
  verb->add_option("--prompt", a->prompt, "tokens of the prefill to predict")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI::Option* mode =
      verb->add_option("--mode", a->mode, "latency, ttft, throughput, memory (energy is refused: no counters)")
          ->capture_default_str();
  verb->add_option("--pin", a->pins, "0-11=vulkan:0, experts=cpu:0 (of all layers), head=cpu:0, ...; may be repeated");
  verb->add_option("--experts", a->experts,
                   "a trace of `run --record-routing`: a layer's experts may lie on two devices, the most used ones on "
                   "the faster");
  verb->add_option("--device", a->device, "everything there; what it declines goes elsewhere unless --strict");
  a->precision.add_to(*verb);
  verb->add_flag("--strict", a->strict, "with --device or --pin: fail with the ops and reasons instead");
  verb->add_flag("--explain", a->explain, "the reasons as text: the default; with --json on stderr");
  verb->add_flag("--table", a->table,
                 "instead of one plan: what fits, where and how fast, for contexts, sessions and weight types")
      ->excludes(context)
      ->excludes(sessions)
      ->excludes(groups)
      ->excludes(mode);
  verb->add_option("-o,--out", a->out, "also write the plan as JSON to this file, for `run --plan`");
  verb->add_option("--html", a->html, "also write the plan as a picture, one HTML page, to this file")
      ->excludes("--table");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
