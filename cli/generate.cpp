#include "cli/generate.h"

namespace switchyard::cli {

void PlacementArguments::add_to(CLI::App& app) {
  app.add_option("--device", device, "cpu:0, vulkan:0, opencl:1, ... or auto: placed by measurement")
      ->capture_default_str();
  app.add_option("--plan", plan, "a plan made by `switchyard plan -o`")->check(CLI::ExistingFile);
  app.add_option("--profile", profile, "a profile made by `switchyard profile -o`; default: this machine's")
      ->check(CLI::ExistingFile);
  app.add_flag("--strict", strict, "fail with the ops and reasons rather than run any of them elsewhere");
  precision.add_to(app);
  app.add_option("--ctx", context, "longest context of a session, such as 4096 or 128k")->capture_default_str();
  app.add_option("--trace", trace, "write a trace for chrome://tracing or ui.perfetto.dev");
}

void PrecisionArguments::add_to(CLI::App& app) {
  app.add_option("--activations", activations,
                 "f32, or auto: a device may round them to 8 bits in blocks of 32, or to bf16 beside bf16 weights")
      ->check(CLI::IsMember({"auto", "f32"}))
      ->capture_default_str();
  app.add_option("--kv", kv,
                 "what the KV cache holds: f32, f16, q8_0 (CPU only), or auto: f16, with f32 activations f32")
      ->check(CLI::IsMember({"auto", "f32", "f16", "q8_0"}))
      ->capture_default_str();
}

void PrecisionArguments::apply(scheduler::StageOptions& options) const {
  const bool exact = activations == "f32";
  options.activations = exact ? kernels::Activations::exact : kernels::Activations::rounded;
  options.kv = kv == "f32"    ? hal::DType::f32
               : kv == "f16"  ? hal::DType::f16
               : kv == "q8_0" ? hal::DType::q8_0
               : exact        ? hal::DType::f32
                              : hal::DType::f16;
}

namespace {

scheduler::ExecutorOptions options_of(const PlacementArguments& a, std::int64_t tokens_needed) {
  scheduler::ExecutorOptions options;
  options.context = std::max(count(a.context), tokens_needed);
  a.precision.apply(options);
  options.want_spans = !a.trace.empty();
  options.on_routing = a.on_routing;
  options.progress = [](std::string_view what, double done) { progress(what, done); };
  return options;
}

// One device for everything; what it declines goes to the CPU and is said, or is an error.
std::vector<hal::DeviceRef> on_one_device(const PlacementArguments& a, Fleet& fleet, const models::Model& model,
                                          const scheduler::ExecutorOptions& options) {
  hal::DeviceRef device = fleet.open(a.device);
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), device);
  if (a.strict) return devices;  // the stage refuses with every op and reason
  auto units = scheduler::units_of(model, options);
  for (std::size_t u = 0; u < units.size(); ++u) {
    hal::Claim claim = device->claim(units[u].segment);
    if (claim.whole()) continue;
    devices[u] = fleet.open("cpu:0");
    say("fallback: " + units[u].name + " runs on " + devices[u]->info().id + ": " + device->info().id + " declines " +
        units[u].segment.nodes[claim.declined.front().node].op + ": " + claim.declined.front().why);
  }
  return devices;
}

// This machine's profile as it is: nothing is measured for it.
std::optional<probes::Profile> known_profile(Fleet& fleet, const std::string& path, const models::Model& model,
                                             const scheduler::StageOptions& options) {
  if (!path.empty()) return profile_for(fleet, path, model, options);
  const auto cached = probes::cache_path(fleet.machine());
  if (!cached) return std::nullopt;
  auto profile = probes::load_profile(*cached);
  if (!profile || !probes::check_fresh(*profile, fleet.machine(), probes::build_id())) return std::nullopt;
  return std::move(*profile);
}

}  // namespace

Placed place(const PlacementArguments& a, Fleet& fleet, models::Model model, std::int64_t tokens_needed) {
  scheduler::ExecutorOptions options = options_of(a, tokens_needed);
  fleet.trace_to(a.trace);
  Placed placed;
  if (a.plan.empty() && a.device != "auto") {
    auto devices = on_one_device(a, fleet, model, options);
    placed.profile = known_profile(fleet, a.profile, model, options);
    if (!a.experts.trace.empty()) a.experts.place(fleet, model, devices, options);
    placed.executor = check(scheduler::Executor::open(std::move(model), std::move(devices), options));
    return placed;
  }
  if (!a.experts.budget.empty()) fail(usage, "--expert-budget: name the device it is of with --device");
  if (!a.experts.trace.empty() && !a.plan.empty()) fail(usage, "--experts: the plan of --plan says where experts lie");
  placed.profile = profile_for(fleet, a.profile, model, options);
  scheduler::PlanRequest request = scheduler::request_for(model, options);
  if (!a.plan.empty()) {
    placed.plan = check(scheduler::load_plan(read_text(a.plan), fleet.machine(), *placed.profile, request));
  } else {
    if (!a.experts.trace.empty()) request.experts = trace_of(a.experts.trace, model);
    placed.plan = check(scheduler::make_plan(fleet.machine(), *placed.profile, request));
    std::string devices;
    for (const std::string& id : placed.plan->devices())
      if (devices.find(id) == std::string::npos) devices += (devices.empty() ? "" : ", ") + id;
    say("auto: placed on " + devices + " by measurement (`switchyard plan` shows why)");
    for (const scheduler::PlannedLayer& l : placed.plan->layers)
      if (l.experts) say(l.layer + " on " + l.device + ": " + l.detail);
  }
  auto open = [&](const std::string& id) -> hal::Result<hal::DeviceRef> { return fleet.open(id); };
  placed.executor = check(scheduler::run(std::move(model), *placed.plan, open, options));
  return placed;
}

}  // namespace switchyard::cli
