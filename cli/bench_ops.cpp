// The table of ops: every timed case on every device asked for.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/bench.h"
#include "kernels/harness.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

struct Row {
  std::string op, name, device;
  Spread seconds;
  double gb_s = 0, gflop_s = 0;
};

// Skipped cases are said, with the device's reason.
std::vector<Row> rows_of(hal::Device& device, const BenchArguments& a) {
  std::vector<Row> rows;
  for (const kernels::OpInfo* op : kernels::ops()) {
    std::string name = std::string(op->name).substr(0, std::string(op->name).find('@'));
    if (!a.op.empty() && a.op != name) continue;
    int taken = 0;
    for (const kernels::Case& c : op->cases()) {
      if (!c.timed || (a.quick && ++taken > 2)) continue;
      hal::Claim claim = device.claim(c.segment);
      if (!claim.whole()) {
        say(device.info().id + " " + name + " " + c.name + ": declined: " + claim.declined.front().why);
        continue;
      }
      progress(device.info().id + " " + name + " " + c.name, 0.5);
      auto run = kernels::run_on(device, kernels::make_data(c, 1), static_cast<int>(a.quick ? 4 : 3 + 3 * a.repeats));
      if (!run) {
        say(device.info().id + " " + name + " " + c.name + ": " + hal::describe(run.error()));
        continue;
      }
      std::vector<double> samples(run->samples.begin() + 1, run->samples.end());  // the first is the warm-up
      kernels::Cost cost = kernels::cost(c.segment, c.dims);
      Row row{name, c.name, device.info().id, spread_of(samples), 0, 0};
      row.gb_s = cost.bytes / row.seconds.median / 1e9;
      row.gflop_s = cost.flops / row.seconds.median / 1e9;
      rows.push_back(row);
    }
  }
  progress("", 1.0);
  return rows;
}

}  // namespace

void bench_ops(const BenchArguments& a, const Global& global) {
  if (!a.op.empty() && !kernels::find_op(a.op)) {
    std::string known;
    for (const kernels::OpInfo* op : kernels::ops())
      known += " " + std::string(op->name).substr(0, std::string(op->name).find('@'));
    fail(usage, "--op " + a.op + ": known ops are" + known);
  }
  Fleet fleet(global);
  std::vector<hal::DeviceRef> devices;
  if (a.placement.device == "auto") {
    for (const probes::Door* door : fleet.machine().doors()) devices.push_back(fleet.open(door->info.id));
  } else {
    devices.push_back(fleet.open(a.placement.device));
  }
  json results = json::array();
  for (auto& device : devices) {
    std::vector<Row> rows = rows_of(*device, a);
    // The limits are the best rates seen on this device in this very run, over all its ops.
    double gb_s = 0, gflop_s = 0;
    for (const Row& r : rows) gb_s = std::max(gb_s, r.gb_s), gflop_s = std::max(gflop_s, r.gflop_s);
    if (!global.json)
      std::printf(
          "\n%s  %s\nbest rates of this run: %.1f GB/s, %.1f GFLOP/s; %% of limit against the one that binds\n%-16s "
          "%-44s %12s %9s %9s %10s\n",
          device->info().id.c_str(), device->info().name.c_str(), gb_s, gflop_s, "op", "case", "median", "GB/s",
          "GFLOP/s", "% of limit");
    for (const Row& r : rows) {
      const bool memory = r.gb_s / gb_s > r.gflop_s / gflop_s;
      const double percent = 100 * std::max(r.gb_s / gb_s, r.gflop_s / gflop_s);
      results.push_back({{"op", r.op},
                         {"case", r.name},
                         {"device", r.device},
                         {"seconds",
                          {{"median", r.seconds.median},
                           {"min", r.seconds.min},
                           {"max", r.seconds.max},
                           {"samples", r.seconds.samples}}},
                         {"gb_per_second", r.gb_s},
                         {"gflop_per_second", r.gflop_s},
                         {"percent_of_limit", percent},
                         {"limit", memory ? "memory" : "compute"}});
      if (!global.json)
        std::printf("%-16s %-44.44s %9.3f ms %9.1f %9.1f %8.0f %s\n", r.op.c_str(), r.name.c_str(),
                    r.seconds.median * 1e3, r.gb_s, r.gflop_s, percent, memory ? "m" : "c");
    }
  }
  if (global.json)
    std::printf("%s\n", json{{"schema", "switchyard.bench_ops/1"}, {"results", results}}.dump(2).c_str());
}

}  // namespace switchyard::cli
