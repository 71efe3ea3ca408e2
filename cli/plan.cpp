// switchyard plan MODEL: who gets which layer, in what time, and why.
#include <cstdio>

#include "cli/generate.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  PrecisionArguments precision;
  ModelArguments model;
  std::string profile, context = "4096", mode = "latency", device, out;
  std::int64_t sessions = 1, prompt = 512;
  std::vector<std::string> pins;
  bool explain = false, table = false, strict = false;
};

void run(const Arguments& a, const Global& global) {
  scheduler::StageOptions options;
  options.context = count(a.context);
  a.precision.apply(options);
  const scheduler::Mode mode = check(scheduler::mode_from(a.mode));
  check(scheduler::supported(mode));
  Fleet fleet(global);
  models::Model model = a.model.load(true);
  scheduler::PlanRequest request = scheduler::request_for(model, options);
  request.sessions = a.sessions;
  request.prompt = a.prompt;
  request.mode = mode;
  request.strict = a.strict;
  if (!a.device.empty() && a.device != "auto") request.device = fleet.open(a.device)->info().id;
  for (const std::string& pin : a.pins)
    request.pins.push_back(check(scheduler::pin_from(pin, request.units, fleet.machine())));
  probes::Profile profile = profile_for(fleet, a.profile, model, options);

  scheduler::Plan plan = check(scheduler::make_plan(fleet.machine(), profile, request));
  check(scheduler::check(plan, fleet.machine(), profile, request));
  const std::string text = to_json(plan);
  if (!a.out.empty()) write_text(a.out, text + "\n");
  std::printf("%s\n", global.json ? text.c_str() : scheduler::explain(plan).c_str());
  if (!plan.fits) fail(failed, "the plan does not fit: " + plan.shortage);
}

}  // namespace

void add_plan(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb =
      app.add_subcommand("plan", "place a model's layers on the devices, with predicted times and reasons");
  a->model.add_to(*verb);
  verb->add_option("--profile", a->profile,
                   "a profile made by `switchyard profile`; default: this machine's, measured if there is none");
  verb->add_option("--ctx", a->context, "tokens of every session to keep memory for, such as 4096 or 128k")
      ->capture_default_str();
  verb->add_option("--sessions", a->sessions)->check(CLI::PositiveNumber)->capture_default_str();
  verb->add_option("--prompt", a->prompt, "tokens of the prefill to predict")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--mode", a->mode, "latency, ttft, throughput, memory (energy is refused: no counters)")
      ->capture_default_str();
  verb->add_option("--pin", a->pins, "0-11=vulkan:0, head=cpu:0, ...; may be repeated");
  verb->add_option("--device", a->device, "everything there; what it declines goes elsewhere unless --strict");
  a->precision.add_to(*verb);
  verb->add_flag("--strict", a->strict, "with --device or --pin: fail with the ops and reasons instead");
  verb->add_flag("--table", a->table, "the table (the default without --json)");
  verb->add_flag("--explain", a->explain, "the table with runners-up and reasons (the default without --json)");
  verb->add_option("-o,--out", a->out, "also write the plan as JSON to this file, for `run --plan`");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
