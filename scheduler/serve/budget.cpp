#include "scheduler/serve/budget.h"

#include <algorithm>
#include <fstream>

namespace switchyard::scheduler {
namespace {

struct Taken {
  hal::Bytes available = 0, used = 0;
};

// Of the heaps that discovery counts (probes/discover): the device's own, or all others where it has none.
hal::Result<Taken> taken(const hal::Device& device) {
  HAL_TRY(const auto heaps, device.heaps());
  Taken sum;
  for (bool local : {true, false}) {
    hal::Bytes total = 0;
    for (const hal::Heap& heap : heaps) {
      if (heap.device_local != local) continue;
      total += heap.total;
      sum.available += heap.budget;
      sum.used += heap.used;
    }
    if (total) break;
  }
  return sum;
}

}  // namespace

double memory_stalls(const std::string& file) {
  std::ifstream in(file);
  const std::string before = "some avg10=";
  for (std::string line; std::getline(in, line);)
    if (line.rfind(before, 0) == 0)
      return std::clamp(std::strtod(line.c_str() + before.size(), nullptr) / 100, 0.0, 1.0);
  return 0;
}

BudgetReader read_budget(const hal::DeviceRef& device, const std::vector<hal::DeviceRef>& others, bool stalls) {
  std::vector<std::weak_ptr<hal::Device>> rest(others.begin(), others.end());
  return [id = device->info().id, first = std::weak_ptr(device), rest = std::move(rest),
          stalls]() -> hal::Result<Reading> {
    const auto open = first.lock();
    if (!open) return hal::Error{hal::Code::unavailable, id + " is closed"};
    HAL_TRY(const Taken own, taken(*open));
    Reading reading{own.available, own.used, stalls ? memory_stalls() : 0};
    for (const auto& other : rest)
      if (const auto held = other.lock())
        if (const auto more = taken(*held)) reading.used += more->used;
    return reading;
  };
}

hal::Status watch(Ledger& ledger, const probes::Machine& machine, const std::vector<hal::DeviceRef>& devices) {
  std::map<std::string, std::vector<hal::DeviceRef>> pools;
  for (const hal::DeviceRef& device : devices)
    if (const probes::Chip* chip = machine.chip_of(device->info().id)) pools[chip->pool].push_back(device);
  const auto rows = ledger.snapshot();
  for (auto& [pool, in] : pools) {
    auto total = [&](const hal::DeviceRef& device) { return machine.door(device->info().id)->total; };
    std::stable_sort(in.begin(), in.end(), [&](auto& a, auto& b) { return total(a) > total(b); });
    const std::vector<hal::DeviceRef> others(in.begin() + 1, in.end());
    HAL_CHECK(ledger.watch_pool(pool, read_budget(in.front(), others, pool == probes::host_pool)));
    for (const hal::DeviceRef& device : in) {
      const auto own = [&](const LedgerRow& row) { return row.name == device->info().id && !row.within.empty(); };
      if (std::any_of(rows.begin(), rows.end(), own))
        HAL_CHECK(ledger.watch_device(device->info().id, read_budget(device)));
    }
  }
  return hal::ok();
}

}  // namespace switchyard::scheduler
