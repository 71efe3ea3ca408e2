// switchyard devices: every chip, its doors and memory; what is absent and why.
#include <algorithm>
#include <cstdio>

#include "cli/planning.h"
#include "probes/json.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

json device_json(const probes::Chip& chip, const probes::Door& door) {
  const hal::Info& info = door.info;
  return {{"id", info.id},
          {"name", info.name},
          {"kind", hal::to_string(info.kind)},
          {"chip", chip.id},
          {"chip_is_a_guess", chip.guess},
          {"api", info.api},
          {"vendor", info.vendor},
          {"driver", info.driver},
          {"pci", info.pci},
          {"features", info.features},
          {"compute_units", info.limits.compute_units},
          {"memory", {{"pool", chip.pool}, {"total_bytes", door.total}, {"budget_bytes", door.budget}}}};
}

void print_json(const probes::Machine& machine) {
  json devices = json::array(), absent = json::array(), pools = json::array();
  for (const probes::Chip& chip : machine.chips)
    for (const probes::Door& door : chip.doors) devices.push_back(device_json(chip, door));
  for (const probes::Pool& p : machine.pools)
    pools.push_back({{"pool", p.name}, {"total_bytes", p.total}, {"budget_bytes", p.budget}});
  for (const hal::Absence& a : machine.absent)
    absent.push_back({{"api", a.api}, {"code", a.code}, {"detail", a.detail}, {"fix", a.fix}});
  json out{{"schema", "switchyard.devices/1"},
           {"devices", devices},
           {"absent", absent},
           {"pools", pools},
           {"host",
            {{"cpu", machine.host.cpu},
             {"system", machine.host.system},
             {"cores", machine.host.cores},
             {"threads", machine.host.threads},
             {"memory_bytes", machine.host.memory_total}}}};
  std::printf("%s\n", probes::text_of(out, 2).c_str());
}

void print_table(const probes::Machine& machine) {
  std::printf("%s, %d threads, %.1f GB of memory (%.1f GB free)\n\n", machine.host.cpu.c_str(), machine.host.threads,
              static_cast<double>(machine.host.memory_total) / 1e9,
              static_cast<double>(machine.host.memory_available) / 1e9);
  std::printf("%-12s %-5s %-40s %-8s %10s  %s\n", "device", "kind", "chip", "pool", "memory", "driver");
  for (const probes::Chip& chip : machine.chips)
    for (const probes::Door& d : chip.doors)
      std::printf("%-12s %-5s %-40.40s %-8s %7.1f GB  %s\n", d.info.id.c_str(), hal::to_string(d.info.kind),
                  d.info.name.c_str(), chip.pool.c_str(), static_cast<double>(d.total) / 1e9, d.info.driver.c_str());
  for (const hal::Absence& a : machine.absent)
    std::printf("\nabsent: %s (%s): %s\n  fix: %s\n", a.api.c_str(), a.code.c_str(), a.detail.c_str(), a.fix.c_str());
}

}  // namespace

void add_devices(CLI::App& app, Global& global) {
  CLI::App* verb = app.add_subcommand("devices", "every device, its memory and driver; what is absent and why");
  auto out = std::make_shared<std::string>();
  verb->add_option("-o,--out", *out, "also write the machine to this file, for `switchyard plan --machine` elsewhere");
  verb->callback([out, &global] {
    Fleet fleet(global);
    if (!out->empty()) write_text(*out, probes::to_json(fleet.machine()) + "\n");
    global.json ? print_json(fleet.machine()) : print_table(fleet.machine());
  });
}

}  // namespace switchyard::cli
