// switchyard pair MODEL: the prompt on one device and the tokens after it on another, and when that pays.
#include "scheduler/plan/pair.h"

#include <cstdio>

#include "cli/generate.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  PrecisionArguments precision;
  ModelArguments model;
  TargetArguments target;
  std::string context = "4096", prompt = "512", output = "256", out;
  std::vector<std::string> one_copy;
};

std::pair<std::string, std::string> two_devices(const std::string& text, const probes::Machine& machine) {
  const auto comma = text.find(',');
  if (comma == std::string::npos) fail(usage, "--one-copy '" + text + "': expected two devices, as vulkan:0,opencl:0");
  auto id = [&](const std::string& name) {
    const auto choice = probes::resolve(machine, name);
    if (!choice) fail(no_device, choice.error().message);
    return choice->id;
  };
  return {id(text.substr(0, comma)), id(text.substr(comma + 1))};
}

void run(const Arguments& a, const Global& global) {
  scheduler::StageOptions options;
  options.context = count(a.context);
  a.precision.apply(options);
  const std::int64_t prompt = count(a.prompt), output = count(a.output);
  const models::Model model = a.model.load(true);
  const Target target = target_for(a.target, global, {&model}, options);
  scheduler::PairRequest request;
  request.plan = scheduler::request_for(model, options);
  request.plan.prompt = prompt;
  request.plan.effort = 10;  // as for one plan
  request.output = output;
  for (const std::string& text : a.one_copy) request.one_copy.push_back(two_devices(text, target.machine));
  const scheduler::PairPlan plan =
      check(scheduler::make_pair_plan(target.machine, target.profile, request, target.claim));
  const std::string text = to_json(plan);
  if (!a.out.empty()) write_text(a.out, text);
  std::printf("%s", global.json ? text.c_str() : explain(plan).c_str());
  if (!plan.best.fits) fail(failed, "the plan does not fit: " + plan.best.shortage);
}

}  // namespace

void add_pair(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "pair", "place the prompt and the tokens after it apart, and say from which prompt length that pays");
  a->model.add_to(*verb);
  a->target.add_to(*verb);
  verb->add_option("--ctx", a->context, "tokens to keep memory for, such as 4096 or 128k")->capture_default_str();
  verb->add_option("--prompt", a->prompt, "tokens of the prompt")->capture_default_str();
  verb->add_option("-n,--output", a->output, "tokens after it")->capture_default_str();
  verb->add_option("--one-copy", a->one_copy,
                   "two devices of one memory that read each other's weights, as vulkan:0,opencl:0; may be repeated; "
                   "default: each holds its own");
  a->precision.add_to(*verb);
  verb->add_option("-o,--out", a->out, "also write the result as JSON to this file");
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
