// A machine of 16 GB: a CPU, an integrated device that may take 6 GB of them, and a card with 8 GB; and a clock that
// stands still until it is moved.
#pragma once
#include <atomic>

#include "probes/machine.h"
#include "scheduler/serve/now.h"

namespace switchyard::test {

constexpr hal::Bytes gb = 1'000'000'000;

inline probes::Machine small_machine() {
  probes::Machine m;
  m.host.cpu = "small";
  m.pools = {{"host", 20 * gb, 16 * gb}, {"card:0", 8 * gb, 8 * gb}};
  auto add = [&](const std::string& id, const std::string& pool, hal::Bytes total, hal::Bytes budget) {
    probes::Chip chip;
    chip.id = chip.name = id;
    chip.pool = pool;
    chip.doors.push_back({});
    chip.doors.back().info.id = id;
    chip.doors.back().total = total;
    chip.doors.back().budget = budget;
    m.chips.push_back(chip);
  };
  add("cpu:0", "host", 20 * gb, 16 * gb);
  add("inner:0", "host", 6 * gb, 0);
  add("card:0", "card:0", 8 * gb, 8 * gb);
  return m;
}

struct FakeClock {
  std::shared_ptr<std::atomic<std::int64_t>> nanoseconds = std::make_shared<std::atomic<std::int64_t>>(0);
  scheduler::Now now() const {
    return [at = nanoseconds] { return std::chrono::nanoseconds(at->load()); };
  }
  void pass(double seconds) { *nanoseconds += static_cast<std::int64_t>(seconds * 1e9); }
  double seconds() const { return static_cast<double>(nanoseconds->load()) * 1e-9; }
};

}  // namespace switchyard::test
