#include "probes/discover/devices.h"

#include <algorithm>
#include <cctype>

#include "probes/json.h"

namespace switchyard::probes {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string without_dashes(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  return text;
}

// "cuda0", "gpu.0", "cpu" -> {"cuda", 0}; number -1: none written.
struct Numbered {
  std::string word;
  int number = -1;
};
std::optional<Numbered> numbered(const std::string& name) {
  std::size_t end = name.size();
  while (end > 0 && std::isdigit(static_cast<unsigned char>(name[end - 1]))) --end;
  if (name.size() - end > 4) return std::nullopt;
  Numbered n{name.substr(0, end), end < name.size() ? std::stoi(name.substr(end)) : -1};
  if (n.number >= 0 && !n.word.empty() && (n.word.back() == '.' || n.word.back() == ':')) n.word.pop_back();
  if (n.word.empty()) return std::nullopt;
  return n;
}

// "gpu" stands for every sort of one.
bool is_kind(const Chip& chip, const std::string& word) {
  const std::string kind = hal::to_string(chip.kind);
  return kind == word || (kind.size() > word.size() && word.size() > 2 &&
                          kind.compare(kind.size() - word.size(), word.size(), word) == 0);
}

Choice pick_automatically(const Machine& machine) {
  const Chip* best = nullptr;
  for (const Chip& chip : machine.chips) {
    if (chip.pool == host_pool) continue;
    if (!best ||
        machine.pool_of(chip.doors.front().info.id)->total > machine.pool_of(best->doors.front().info.id)->total)
      best = &chip;
  }
  if (best) return {best->doors.front().info.id, "auto: " + best->name + " has the most memory of its own"};
  for (const Door* d : machine.doors())
    if (d->info.accepts(hal::Format::call))
      return {d->info.id, "auto: no device has memory of its own, and " + d->info.name + " runs host code"};
  return {machine.doors().front()->info.id, "auto: the first device there is"};
}

}  // namespace

hal::Result<Choice> resolve(const Machine& machine, std::string_view asked) {
  const std::string name = lower(asked);
  auto doors = machine.doors();
  if (name == "auto" && !doors.empty()) return pick_automatically(machine);
  for (const Door* d : doors)
    if (lower(d->info.id) == name) return Choice{d->info.id, "its id"};
  if (auto n = numbered(name)) {
    for (const Door* d : doors)
      if (lower(d->info.id) == n->word + ":" + std::to_string(std::max(n->number, 0)))
        return Choice{d->info.id, "number " + std::to_string(std::max(n->number, 0)) + " of " + d->info.api};
    int left = std::max(n->number, 0);
    for (const Chip& chip : machine.chips) {
      if (is_kind(chip, n->word) && left-- == 0)
        return Choice{chip.doors.front().info.id,
                      "number " + std::to_string(std::max(n->number, 0)) + " of the chips of kind " + n->word};
    }
  }
  std::string uuid = without_dashes(name.rfind("gpu-", 0) == 0 ? name.substr(4) : name);
  for (const Door* d : doors)
    if (uuid.size() == 32 && hex(d->info.chip.data(), d->info.chip.size()) == uuid)
      return Choice{d->info.id, "the chip's UUID"};
  for (const Door* d : doors) {
    std::string pci = lower(d->info.pci);
    if (!pci.empty() && (pci == name || pci == "0000:" + name)) return Choice{d->info.id, "the chip's PCI address"};
  }
  std::string there;
  for (const Door* d : doors) there += (there.empty() ? "" : ", ") + d->info.id + " (" + d->info.name + ")";
  std::string text = "device '" + std::string(asked) + "'; there are: " + (there.empty() ? "none" : there);
  for (const hal::Absence& a : machine.absent)
    if (auto n = numbered(name); n && lower(a.api) == n->word)
      text += "; " + a.api + " is absent: " + a.detail + " (" + a.fix + ")";
  return hal::Error{hal::Code::not_found, text};
}

hal::Result<std::vector<std::string>> doors_named(const Machine& machine, std::string_view asked) {
  const std::string name = lower(asked);
  std::vector<std::string> ids;
  for (const Chip& chip : machine.chips)
    for (const Door& d : chip.doors)
      if (lower(d.info.api) == name || is_kind(chip, name)) ids.push_back(d.info.id);
  if (!ids.empty()) return ids;
  HAL_TRY(const Choice one, resolve(machine, asked));
  return std::vector{one.id};
}

void Devices::forget(const std::string& id) {
  std::lock_guard lock(mutex_);
  open_.erase(id);
}

Devices::Devices(Machine machine, std::vector<hal::BackendRef> backends, hal::Host host)
    : machine_(std::move(machine)), backends_(std::move(backends)), host_(host) {}

hal::Result<hal::DeviceRef> Devices::open(std::string_view name) {
  HAL_TRY(Choice choice, resolve(machine_, name));
  std::lock_guard lock(mutex_);
  if (auto it = open_.find(choice.id); it != open_.end()) return it->second;
  const std::string& api = machine_.door(choice.id)->info.api;
  for (const hal::BackendRef& backend : backends_) {
    if (backend->name() != api) continue;
    if (touched_.insert(api).second) (void)backend->discover();
    HAL_TRY(hal::DeviceRef device, backend->open(choice.id, host_));
    open_[choice.id] = device;
    return device;
  }
  std::string built;
  for (const hal::BackendRef& backend : backends_) built += (built.empty() ? "" : ", ") + std::string(backend->name());
  return hal::Error{hal::Code::not_found, "device " + choice.id + " needs " + api +
                                              "; this program has: " + (built.empty() ? "none" : built)};
}

}  // namespace switchyard::probes
