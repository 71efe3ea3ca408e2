// switchyard plan MODEL: who gets which layer, in what time, and why.
#include <cstdio>
#include <set>

#include "cli/generate.h"
#include "models/shapes/shapes.h"
#include "probes/json.h"
#include "scheduler/plan/text.h"

namespace switchyard::cli {
namespace {

// Limits as text.
struct LimitArguments {
  std::string step, prompt, energy, fallback;
  std::vector<std::string> memory;

  void add_to(CLI::App& app) {
    app.add_option("--max-step", step, "every session has its next token within this, such as 30ms");
    app.add_option("--max-ttft", prompt, "the prompt of --prompt tokens is read within this, such as 2s");
    app.add_option("--max-memory", memory, "6GB in all, or host=4GB of a pool or device; may be repeated");
    app.add_option("--max-energy", energy, "of a step, such as 2J; needs --watts or a profile with power");
    app.add_option("--fallback", fallback,
                   "with --device or --pin: so many units, or so much of a step (as 2ms), may run elsewhere; default: "
                   "what is declined there, and nothing else");
  }
  scheduler::Limits limits() const {
    auto seconds = [](const char* option, const std::string& text) {
      return amount_from(option, text, {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}});
    };
    scheduler::Limits l;
    if (!step.empty()) l.step_seconds = seconds("--max-step", step);
    if (!prompt.empty()) l.prefill_seconds = seconds("--max-ttft", prompt);
    if (!energy.empty()) l.joules = amount_from("--max-energy", energy, {{"J", 1}, {"mJ", 1e-3}});
    for (const std::string& text : memory) {
      const auto equals = text.rfind('=');
      const auto bytes = static_cast<hal::Bytes>(
          amount_from("--max-memory", equals == std::string::npos ? text : text.substr(equals + 1),
                      {{"GB", 1e9}, {"MB", 1e6}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"B", 1}}));
      if (equals == std::string::npos)
        l.bytes = bytes;
      else
        l.pools.emplace_back(text.substr(0, equals), bytes);
    }
    if (fallback.empty()) return l;
    if (fallback.find_first_not_of("0123456789") == std::string::npos && fallback.size() < 10)
      l.fallbacks = std::stoll(fallback);
    else
      l.fallback_seconds = seconds("--fallback", fallback);
    return l;
  }
};

struct Arguments {
  PrecisionArguments precision;
  ModelArguments model;
  TargetArguments target;
  std::string context = "4096", mode = "latency", device, experts, out, html;
  std::int64_t sessions = 1, groups = 0, prompt = 512;
  std::vector<std::string> pins, watts;
  LimitArguments limits;
  bool explain = false, table = false, strict = false;
};

std::string device_id(const probes::Machine& machine, const std::string& name) {
  const auto choice = probes::resolve(machine, name);
  if (!choice) fail(no_device, choice.error().message);
  return choice->id;
}

// cpu:0=45,vulkan:0=120,rest=20
void declare_watts(const std::vector<std::string>& texts, Target& target) {
  for (const std::string& text : texts) {
    const auto equals = text.rfind('=');
    if (equals == std::string::npos)
      fail(usage, "--watts " + text + ": expected DEVICE=WATTS, as cpu:0=45, or rest=20");
    const probes::Power power{amount_from("--watts", text.substr(equals + 1), {{"", 1}, {"W", 1}}), false, "--watts"};
    const std::string name = text.substr(0, equals);
    if (name == "rest") {
      target.profile.rest = power;
      continue;
    }
    const std::string id = device_id(target.machine, name);
    for (probes::DeviceProfile& d : target.profile.devices)
      if (d.id == id) d.power = power;
  }
}

scheduler::PlanRequest request_of(const Arguments& a, const models::Model& model, const Target& target,
                                  scheduler::StageOptions options) {
  scheduler::PlanRequest request = scheduler::request_for(model, options);
  request.sessions = a.sessions;
  request.groups = a.groups;
  request.prompt = a.prompt;
  request.mode = check(scheduler::mode_from(a.mode));
  request.strict = a.strict;
  request.limits = a.limits.limits();
  if (!a.device.empty() && a.device != "auto") request.device = device_id(target.machine, a.device);
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
  check(scheduler::mode_from(a.mode));
  a.limits.limits();  // what is wrong with them is told before anything is measured
  const models::Model model = a.model.load(true);
  Target target = target_for(a.target, global, {&model}, options);
  declare_watts(a.watts, target);
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
      verb->add_option("--mode", a->mode,
                       "latency, ttft, throughput, memory, energy (of the watts of --watts or the profile)")
          ->capture_default_str();
  verb->add_option("--pin", a->pins, "0-11=vulkan:0, experts=cpu:0 (of all layers), head=cpu:0, ...; may be repeated");
  verb->add_option("--experts", a->experts,
                   "a trace of `run --record-routing`: a layer's experts may lie on two devices, the most used ones on "
                   "the faster");
  verb->add_option("--device", a->device, "everything there; what it declines goes elsewhere unless --strict");
  a->precision.add_to(*verb);
  verb->add_flag("--strict", a->strict, "with --device or --pin: fail with the ops and reasons instead");
  verb->add_option("--watts", a->watts,
                   "what devices take at work, above rest, and the machine at rest: cpu:0=45,vulkan:0=120,rest=20")
      ->delimiter(',');
  CLI::Option_group* limits = verb->add_option_group("limits", "what the plan must keep besides the memory there is");
  a->limits.add_to(*limits);
  verb->add_flag("--explain", a->explain, "the reasons as text: the default; with --json on stderr");
  CLI::Option* table =
      verb->add_flag("--table", a->table,
                     "instead of one plan: what fits, where and how fast, for contexts, sessions and weight types")
          ->excludes(context)
          ->excludes(sessions)
          ->excludes(groups)
          ->excludes(mode);
  limits->excludes(table);
  verb->add_option("-o,--out", a->out, "also write the plan as JSON to this file, for `run --plan`");
  verb->add_option("--html", a->html, "also write the plan as a picture, one HTML page, to this file")
      ->excludes("--table");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
