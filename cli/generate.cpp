#include "cli/generate.h"

namespace switchyard::cli {

void PlacementArguments::add_to(CLI::App& app) {
  app.add_option("--device", device, "cpu:0, vulkan:0, opencl:1, ... or auto: placed by measurement")->capture_default_str();
  app.add_option("--plan", plan, "a plan made by `switchyard plan`")->check(CLI::ExistingFile);
  app.add_flag("--strict", strict, "fail with the ops and reasons rather than run any of them elsewhere");
  app.add_option("--activations", activations, "auto or f32")->check(CLI::IsMember({"auto", "f32"}))->capture_default_str();
  app.add_option("--ctx", context, "longest context of a session, such as 4096 or 128k")->capture_default_str();
  app.add_option("--trace", trace, "write a trace for chrome://tracing or ui.perfetto.dev");
}

std::unique_ptr<scheduler::Engine> PlacementArguments::open(Fleet& fleet, models::Model model, std::int64_t tokens_needed) const {
  scheduler::EngineOptions options;
  options.context = std::max(count(context), tokens_needed);
  options.kv = activations == "f32" ? hal::DType::f32 : hal::DType::f16;
  options.want_spans = !trace.empty();
  options.progress = [](std::string_view what, double done) { progress(what, done); };
  const auto units = static_cast<std::size_t>(models::unit_count(model));
  std::string name = device == "auto" ? "cpu:0" : device;
  std::vector<hal::DeviceRef> devices(units, fleet.open(name));
  return check(scheduler::Engine::open(std::move(model), devices, options));
}

}  // namespace switchyard::cli
