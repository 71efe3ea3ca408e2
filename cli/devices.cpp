// switchyard devices: what is here, and what is absent and why.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/fleet.h"

namespace switchyard::cli {
namespace {

using nlohmann::json;

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  char two[3];
  for (auto b : bytes) {
    std::snprintf(two, sizeof two, "%02x", b);
    text += two;
  }
  return text;
}

void run(const Global& global) {
  Fleet fleet(global);
  json devices = json::array(), absent = json::array();
  for (const hal::Info& info : fleet.devices()) {
    hal::Heap heap;
    std::string trouble;
    if (auto heaps = fleet.open(info.id)->heaps(); heaps && !heaps->empty()) heap = heaps->front();
    bool known = std::any_of(info.chip.begin(), info.chip.end(), [](auto b) { return b != 0; });
    devices.push_back({{"id", info.id},
                       {"name", info.name},
                       {"kind", hal::to_string(info.kind)},
                       {"chip", known ? hex(info.chip) : info.pci},
                       {"api", info.api},
                       {"vendor", info.vendor},
                       {"driver", info.driver},
                       {"features", info.features},
                       {"compute_units", info.limits.compute_units},
                       {"memory", {{"total_bytes", heap.total}, {"budget_bytes", heap.budget}, {"used_bytes", heap.used}}}});
  }
  for (const hal::Absence& a : fleet.absent()) absent.push_back({{"api", a.api}, {"code", a.code}, {"detail", a.detail}, {"fix", a.fix}});
  if (global.json) {
    std::printf("%s\n", json{{"schema", "switchyard.devices/1"}, {"devices", devices}, {"absent", absent}}.dump(2).c_str());
    return;
  }
  std::printf("%-12s %-5s %-44s %10s  %s\n", "device", "kind", "name", "memory", "driver");
  for (const json& d : devices)
    std::printf("%-12s %-5s %-44.44s %7.1f GB  %s\n", d["id"].get<std::string>().c_str(), d["kind"].get<std::string>().c_str(),
                d["name"].get<std::string>().c_str(), d["memory"]["total_bytes"].get<double>() / 1e9, d["driver"].get<std::string>().c_str());
  for (const json& a : absent)
    std::printf("absent: %s (%s): %s\n        fix: %s\n", a["api"].get<std::string>().c_str(), a["code"].get<std::string>().c_str(),
                a["detail"].get<std::string>().c_str(), a["fix"].get<std::string>().c_str());
}

}  // namespace

void add_devices(CLI::App& app, Global& global) {
  CLI::App* verb = app.add_subcommand("devices", "every device, its memory and driver; what is absent and why");
  verb->callback([&global] { run(global); });
}

}  // namespace switchyard::cli
