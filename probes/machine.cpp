#include "probes/machine.h"

#include <algorithm>

#include "probes/json.h"

namespace switchyard::probes {

const Chip* Machine::chip_of(std::string_view id) const {
  for (const Chip& chip : chips)
    for (const Door& d : chip.doors)
      if (d.info.id == id) return &chip;
  return nullptr;
}

const Door* Machine::door(std::string_view id) const {
  for (const Door* d : doors())
    if (d->info.id == id) return d;
  return nullptr;
}

const Pool* Machine::pool_of(std::string_view id) const {
  const Chip* chip = chip_of(id);
  for (const Pool& pool : pools)
    if (chip && pool.name == chip->pool) return &pool;
  return nullptr;
}

std::vector<const Door*> Machine::doors() const {
  std::vector<const Door*> all;
  for (const Chip& chip : chips)
    for (const Door& d : chip.doors) all.push_back(&d);
  return all;
}

std::string key(const Machine& machine) {
  std::string text =
      machine.host.cpu + "|" + std::to_string(machine.host.threads) + "|" + std::to_string(machine.host.memory_total);
  std::vector<std::string> doors;
  for (const Door* d : machine.doors()) doors.push_back(d->info.id + "|" + d->info.name + "|" + d->info.driver);
  std::sort(doors.begin(), doors.end());
  for (const std::string& d : doors) text += "|" + d;
  return fingerprint(text);
}

namespace {
constexpr std::string_view schema = "switchyard.machine/1";

Json host_json(const HostFacts& h) {
  return {{"cpu", h.cpu},
          {"system", h.system},
          {"cores", h.cores},
          {"threads", h.threads},
          {"numa_nodes", h.numa_nodes},
          {"memory_total", h.memory_total},
          {"memory_available", h.memory_available}};
}
}  // namespace

std::string to_json(const Machine& machine) {
  Json j{{"schema", schema},
         {"host", host_json(machine.host)},
         {"chips", Json::array()},
         {"pools", Json::array()},
         {"absent", Json::array()}};
  for (const Chip& c : machine.chips) {
    Json doors = Json::array();
    for (const Door& d : c.doors) doors.push_back(to_json_value(d));
    j["chips"].push_back({{"id", c.id},
                          {"name", c.name},
                          {"kind", hal::to_string(c.kind)},
                          {"pool", c.pool},
                          {"guess", c.guess},
                          {"doors", doors}});
  }
  for (const Pool& p : machine.pools)
    j["pools"].push_back({{"name", p.name}, {"total", p.total}, {"budget", p.budget}});
  for (const hal::Absence& a : machine.absent) j["absent"].push_back(to_json_value(a));
  return text_of(j, 1) + "\n";
}

hal::Result<Machine> machine_from_json(std::string_view text) {
  return parse<Machine>(text, schema, "machine file", [](const Json& j) -> hal::Result<Machine> {
    Machine m;
    const Json& h = j.at("host");
    m.host = {h.at("cpu"),        h.at("system"),       h.at("cores"),           h.at("threads"),
              h.at("numa_nodes"), h.at("memory_total"), h.at("memory_available")};
    for (const Json& c : j.at("chips")) {
      // The kind of a chip is that of its doors; it is written for readers.
      Chip chip{c.at("id"), c.at("name"), hal::Kind::other, c.at("pool"), c.at("guess"), {}};
      for (const Json& d : c.at("doors")) chip.doors.push_back(door_from(d));
      if (chip.doors.empty()) return hal::Error{hal::Code::io, "machine file: chip " + chip.id + " has no door"};
      chip.kind = chip.doors.front().info.kind;
      m.chips.push_back(std::move(chip));
    }
    for (const Json& p : j.at("pools")) m.pools.push_back({p.at("name"), p.at("total"), p.at("budget")});
    for (const Json& a : j.at("absent")) m.absent.push_back(absence_from(a));
    for (const Chip& c : m.chips)
      if (!m.pool_of(c.doors.front().info.id))
        return hal::Error{hal::Code::io,
                          "machine file: chip " + c.id + " names pool " + c.pool + ", which is not listed"};
    return m;
  });
}

}  // namespace switchyard::probes
