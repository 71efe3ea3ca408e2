// switchyard profile: measure every device and link with the real kernels.
#include <cstdio>

#include "cli/generate.h"
#include "probes/measure/measure.h"

namespace switchyard::cli {
namespace {

struct Arguments {
  PrecisionArguments precision;
  std::string out, model, weights = "q4_k", context = "4096", device;
  bool quick = false;
  double seconds = 0;
};

double gb(double bytes_per_second) { return bytes_per_second / 1e9; }

using kernels::Products;

void print_table(const probes::Profile& profile) {
  std::printf("%-12s %12s %12s %14s %14s %14s %12s %12s %12s\n", "device", "read", "stream", "f32", "int8", "bf16",
              "launch", "to device", "to host");
  for (const probes::DeviceProfile& d : profile.devices) {
    std::printf("%-12s %7.1f GB/s %7.1f GB/s %7.1f GFLOP/s %9.1f GOP/s %7.1f GFLOP/s %9.1f us %7.1f GB/s %7.1f GB/s\n",
                d.id.c_str(), gb(d.read.per_second), gb(d.stream.per_second), gb(d.arithmetic(Products::f32)),
                gb(d.arithmetic(Products::int8)), gb(d.arithmetic(Products::bf16)), d.launch.median * 1e6,
                d.to_device.gb_s(), d.to_host.gb_s());
    for (const std::string& note : d.notes) std::printf("    %s\n", note.c_str());
  }
  for (const probes::Link& l : profile.links)
    std::printf("%s -> %s: %.1f GB/s (%s)\n", l.from.c_str(), l.to.c_str(), l.copies.gb_s(), l.path.c_str());
}

void run(const Arguments& a, const Global& global) {
  Fleet fleet(global);
  probes::MeasureOptions options;
  options.quick = a.quick;
  options.device_seconds = a.seconds;
  options.progress = [](std::string_view what, double done) { progress(what, done); };
  if (!a.device.empty()) options.devices = {fleet.open(a.device)->info().id};
  if (!a.model.empty()) {
    ModelArguments chosen;
    chosen.model = a.model;
    chosen.weights = a.weights;
    scheduler::StageOptions stage;
    stage.context = count(a.context);
    a.precision.apply(stage);
    for (scheduler::Unit& unit : scheduler::units_of(chosen.load(true), stage))
      options.units.push_back({unit.name, std::move(unit.segment)});
  }
  std::vector<hal::Absence> failed_devices;
  probes::Profile profile = check(probes::measure_machine(fleet.devices(), options, failed_devices));
  progress("", 1.0);
  for (const hal::Absence& f : failed_devices) say("not measured: " + f.api + " (" + f.code + "): " + f.detail);
  const std::string path = a.out.empty() ? check(probes::cache_path(fleet.machine())) : a.out;
  check(probes::save(profile, path));
  if (global.json) {
    std::printf("%s\n", to_json(profile).c_str());
  } else {
    print_table(profile);
  }
  say("profile written to " + path);
}

}  // namespace

void add_profile(CLI::App& app, Global& global) {
  auto a = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("profile", "measure every device and link with the real kernels");
  verb->add_option("-o,--out", a->out, "file to write; default: this machine's cached profile");
  verb->add_option("--model", a->model, "also measure the layers of this model, as wholes");
  verb->add_option("--weights", a->weights, "weight type of a built-in shape")->capture_default_str();
  verb->add_option("--ctx", a->context, "context the layers are measured for")->capture_default_str();
  a->precision.add_to(*verb);
  verb->add_option("--device", a->device, "only this one");
  verb->add_flag("--quick", a->quick, "a few seconds per device, without the table of ops");
  verb->add_option("--seconds", a->seconds, "per device, about; default: 120, with --quick 5")
      ->check(CLI::PositiveNumber);
  verb->callback([a, &global] { run(*a, global); });
}

}  // namespace switchyard::cli
