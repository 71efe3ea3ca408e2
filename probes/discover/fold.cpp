#include <algorithm>
#include <map>

#include "probes/discover/discover.h"
#include "probes/json.h"

namespace switchyard::probes {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

template <std::size_t n>
bool known(const std::array<std::uint8_t, n>& id) {
  return std::any_of(id.begin(), id.end(), [](auto b) { return b != 0; });
}

// 1: surely one chip; -1: surely two; 0: the drivers do not say.
int same(const hal::Info& a, const hal::Info& b) {
  if (known(a.chip) && known(b.chip)) return a.chip == b.chip ? 1 : -1;
  if (known(a.luid) && known(b.luid)) return a.luid == b.luid ? 1 : -1;
  if (!a.pci.empty() && !b.pci.empty()) return lower(a.pci) == lower(b.pci) ? 1 : -1;
  return 0;
}

bool on_host_memory(const Chip& chip) {
  return std::any_of(chip.doors.begin(), chip.doors.end(),
                     [](const Door& d) { return d.info.has_feature(host_memory_feature); });
}

std::string identity(const Chip& chip) {
  for (const Door& d : chip.doors)
    if (known(d.info.chip)) return hex(d.info.chip.data(), d.info.chip.size());
  for (const Door& d : chip.doors)
    if (!d.info.pci.empty()) return d.info.pci;
  return chip.doors.front().info.id;
}

Chip* chip_for(Machine& machine, const Door& door, int ordinal) {
  for (Chip& chip : machine.chips)
    for (const Door& d : chip.doors)
      if (same(d.info, door.info) == 1) return &chip;
  int seen = 0;
  for (Chip& chip : machine.chips) {
    bool possible = std::all_of(chip.doors.begin(), chip.doors.end(), [&](const Door& d) {
      return same(d.info, door.info) == 0 && d.info.api != door.info.api;
    });
    bool named = std::any_of(chip.doors.begin(), chip.doors.end(),
                             [&](const Door& d) { return lower(d.info.name) == lower(door.info.name); });
    if (named && seen++ == ordinal && possible) {
      chip.guess = true;
      return &chip;
    }
  }
  return nullptr;
}

}  // namespace

void fold(Machine& machine, std::vector<Door> doors) {
  std::map<std::pair<std::string, std::string>, int> ordinals;  // of a name within an API
  for (Door& door : doors) {
    int ordinal = ordinals[{door.info.api, lower(door.info.name)}]++;
    Chip* chip = chip_for(machine, door, ordinal);
    if (!chip) {
      machine.chips.emplace_back();
      chip = &machine.chips.back();
      chip->name = door.info.name;
      chip->kind = door.info.kind;
    }
    chip->doors.push_back(std::move(door));
  }
  for (Chip& chip : machine.chips) {
    chip.id = identity(chip);
    if (on_host_memory(chip)) {
      chip.pool = host_pool;
      continue;
    }
    Pool pool{chip.doors.front().info.id, 0, 0};
    for (const Door& d : chip.doors) {
      pool.total = std::max(pool.total, d.total);
      // The most cautious driver has it: the others may not see what is taken already.
      if (d.budget && (!pool.budget || d.budget < pool.budget)) pool.budget = d.budget;
    }
    chip.pool = pool.name;
    machine.pools.push_back(std::move(pool));
  }
  machine.pools.insert(machine.pools.begin(),
                       {std::string(host_pool), machine.host.memory_total, machine.host.memory_available});
}

}  // namespace switchyard::probes
