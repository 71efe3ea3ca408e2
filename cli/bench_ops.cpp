// The table of ops: every timed case on every device asked for.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "probes/measure/measure.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

double gb_s(const probes::OpEntry& o) { return o.bytes / o.seconds.median / 1e9; }
double gflop_s(const probes::OpEntry& o) { return o.flops / o.seconds.median / 1e9; }

// Timed cases of the ops asked for; what a device declines is said, with its reason.
std::vector<probes::OpEntry> entries_of(hal::Device& device, const BenchArguments& a, const probes::Effort& effort) {
  std::vector<probes::OpEntry> all;
  std::vector<std::string> notes;
  double done = 0;
  for (const kernels::OpInfo* op : kernels::ops()) {
    const std::string name = std::string(op->name).substr(0, std::string(op->name).find('@'));
    progress(device.info().id + " " + name, done++ / static_cast<double>(kernels::ops().size()));
    if (!a.op.empty() && a.op != name) continue;
    auto some = check(probes::measure_op(device, *op, effort, notes, a.cases));
    all.insert(all.end(), some.begin(), some.end());
  }
  progress("", 1.0);
  for (const std::string& note : notes) say(device.info().id + ": " + note);
  return all;
}

void check_cases(const BenchArguments& a) {
  std::vector<std::string> known;
  for (const kernels::Case& c : kernels::find_op(a.op)->cases())
    if (c.timed) known.push_back(c.name);
  for (const std::string& name : a.cases) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string all;
    for (const std::string& k : known) all += " " + k;
    fail(usage, "--case " + name + ": the timed cases of " + a.op + " are" + all);
  }
}

}  // namespace

void bench_ops(const BenchArguments& a, const Global& global) {
  if (!a.op.empty() && !kernels::find_op(a.op)) {
    std::string known;
    for (const kernels::OpInfo* op : kernels::ops())
      known += " " + std::string(op->name).substr(0, std::string(op->name).find('@'));
    fail(usage, "--op " + a.op + ": known ops are" + known);
  }
  if (!a.cases.empty()) check_cases(a);
  Fleet fleet(global);
  std::vector<hal::DeviceRef> devices;
  if (a.placement.device == "auto") {
    for (const probes::Door* door : fleet.machine().doors()) devices.push_back(fleet.open(door->info.id));
  } else {
    devices.push_back(fleet.open(a.placement.device));
  }
  json results = json::array(), limits = json::array();
  probes::Effort effort = a.quick ? probes::quick_effort : probes::Effort{};
  if (!a.quick) effort.samples = static_cast<int>(5 * a.repeats);
  for (auto& device : devices) {
    const std::string id = device->info().id;
    probes::DeviceProfile rates;
    check(probes::measure_rates(*device, effort, rates,
                                [&](const std::string& what) { progress(id + " " + what, 0.0); }));
    limits.push_back(limits_json(id, rates));
    if (!global.json)
      std::printf("\n%s  %s\nin this run: %s; caches are emptied before each sample\n%-16s %-44s %12s %9s %9s %10s\n",
                  id.c_str(), device->info().name.c_str(), limits_text(rates).c_str(), "op", "case", "median", "GB/s",
                  "GFLOP/s", "% of limit");
    for (const probes::OpEntry& o : entries_of(*device, a, effort)) {
      const double memory = o.bytes / rates.bandwidth(), arithmetic = o.flops / rates.most_arithmetic(o.products);
      const bool by_memory = memory > arithmetic;
      const double percent = 100 * std::max(memory, arithmetic) / o.seconds.median;
      const std::string op = o.op.substr(0, o.op.find('@'));
      results.push_back({{"op", op},
                         {"case", o.name},
                         {"device", id},
                         {"seconds",
                          {{"median", o.seconds.median},
                           {"min", o.seconds.min},
                           {"max", o.seconds.max},
                           {"spread", o.seconds.spread},
                           {"samples", o.seconds.samples},
                           {"noisy", o.seconds.noisy()}}},
                         {"gb_per_second", gb_s(o)},
                         {"gflop_per_second", gflop_s(o)},
                         {"percent_of_limit", percent},
                         {"limit", by_memory ? "memory" : "compute"}});
      if (!global.json)
        std::printf("%-16s %-44.44s %9.3f ms %9.1f %9.1f %8.0f %s%s\n", op.c_str(), o.name.c_str(),
                    o.seconds.median * 1e3, gb_s(o), gflop_s(o), percent, by_memory ? "m" : "c",
                    o.seconds.noisy() ? "  noisy" : "");
    }
  }
  if (results.empty()) fail(failed, "no case was measured; the reasons are above");
  if (global.json)
    std::printf("%s\n",
                json{{"schema", "switchyard.bench_ops/2"}, {"limits", limits}, {"results", results}}.dump(2).c_str());
}

}  // namespace switchyard::cli
