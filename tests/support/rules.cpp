#include "tests/support/rules.h"

#include <algorithm>
#include <random>

namespace switchyard::test {
namespace {

using scheduler::never;
using scheduler::Option;

using hal::Kind;
using Devices = std::vector<std::size_t>;

constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

std::size_t option_on(const Chain& c, std::size_t u, std::size_t d) {
  for (std::size_t i = 0; i < c.units[u].size(); ++i)
    if (c.units[u][i].place == d) return i;
  return nowhere;
}

// Units placed one by one, memory counted as they come.
class Filler {
 public:
  explicit Filler(const Chain& chain) : c_(chain), x_(chain.units.size(), nowhere), taken_(chain.rows(), 0) {}

  bool put(std::size_t u, std::size_t d) {
    const std::size_t option = option_on(c_, u, d);
    if (option == nowhere) return false;
    std::vector<std::int64_t> with = taken_;
    const Option& o = c_.units[u][option];
    for (std::size_t r = 0; r < c_.rows(); ++r) {
      with[r] += o.takes[r];
      for (std::size_t once = 0; once < c_.devices; ++once)
        if ((o.devices & ~used_) >> once & 1) with[r] += c_.fixed[once][r];
      if (with[r] > c_.limit[r]) return false;
    }
    taken_ = std::move(with);
    used_ |= o.devices;
    x_[u] = option;
    return true;
  }
  bool placed(std::size_t u) const { return x_[u] != nowhere; }
  std::optional<Placement> placement() const {
    if (std::find(x_.begin(), x_.end(), nowhere) != x_.end() || !fits(c_, x_)) return std::nullopt;
    return x_;
  }

 private:
  const Chain& c_;
  Placement x_;
  std::vector<std::int64_t> taken_;
  std::uint64_t used_ = 0;
};

std::optional<Placement> all_on(const Chain& c, const Devices& device_of) {
  Placement x;
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    const std::size_t option = option_on(c, u, device_of[u]);
    if (option == nowhere) return std::nullopt;
    x.push_back(option);
  }
  if (!fits(c, x)) return std::nullopt;
  return x;
}

Devices of_kind(const Roles& roles, Kind kind) {
  Devices found;
  for (std::size_t d = 0; d < roles.device.size(); ++d)
    if (roles.device[d] == kind) found.push_back(d);
  return found;
}
Devices in_order(const Roles& roles, std::initializer_list<Kind> kinds) {
  Devices order;
  for (Kind kind : kinds)
    for (auto d : of_kind(roles, kind)) order.push_back(d);
  return order;
}
std::size_t processor(const Roles& roles) {
  const Devices cpus = of_kind(roles, Kind::cpu);
  return cpus.empty() ? 0 : cpus.front();
}
Devices graphics(const Roles& roles) {
  Devices found = of_kind(roles, Kind::dgpu);
  return found.empty() ? of_kind(roles, Kind::igpu) : found;
}

std::int64_t free_memory(const Chain& c, std::size_t d) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const auto& options : c.units)
    for (const Option& o : options)
      for (std::size_t r = 0; r < c.rows(); ++r)
        if (o.place == d && o.takes[r] > 0) least = std::min(least, c.limit[r] - c.fixed[d][r]);
  return least == std::numeric_limits<std::int64_t>::max() ? 0 : least;
}

std::optional<Placement> single(const Chain& c, const Roles& roles) {
  std::optional<Placement> best;
  for (std::size_t d = 0; d < roles.device.size(); ++d)
    if (auto x = all_on(c, Devices(c.units.size(), d)); x && (!best || cost_of(c, *x) < cost_of(c, *best))) best = x;
  return best;
}

// The last n units on the GPUs, split by their free memory as prefix sums; the largest n that fits.
Devices last_on_gpus(const Chain& c, const Roles& roles, std::size_t n) {
  const Devices gpus = graphics(roles);
  Devices device_of(c.units.size(), processor(roles));
  double all = 0;
  for (auto d : gpus) all += static_cast<double>(free_memory(c, d));
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (auto d : gpus) {
      sum += static_cast<double>(free_memory(c, d));
      device_of[c.units.size() - n + i] = d;
      if (static_cast<double>(i) < sum / all * static_cast<double>(n)) break;
    }
  }
  return device_of;
}
std::optional<Placement> llama_ngl(const Chain& c, const Roles& roles) {
  for (std::size_t n = graphics(roles).empty() ? 0 : c.units.size();; --n) {
    if (auto x = all_on(c, last_on_gpus(c, roles, n))) return x;
    if (n == 0) return std::nullopt;
  }
}

// Experts of all layers to the CPU first; then, where the rest fits, layer by layer from the front back to the GPUs.
std::optional<Placement> llama_fit(const Chain& c, const Roles& roles) {
  if (graphics(roles).empty()) return llama_ngl(c, roles);
  const Devices gpu = last_on_gpus(c, roles, c.units.size());
  Devices device_of = gpu;
  for (std::size_t u = 0; u < c.units.size(); ++u)
    if (roles.experts[u]) device_of[u] = processor(roles);
  std::optional<Placement> best = all_on(c, device_of);
  if (!best) return llama_ngl(c, roles);
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    if (!roles.experts[u]) continue;
    device_of[u] = gpu[u];
    auto x = all_on(c, device_of);
    if (!x) break;
    best = x;
  }
  return best;
}

std::optional<Placement> fill(const Chain& c, const Devices& order) {
  Filler filler(c);
  for (std::size_t u = 0; u < c.units.size(); ++u)
    for (auto d : order)
      if (filler.put(u, d)) break;
  return filler.placement();
}
std::optional<Placement> hetero(const Chain& c, const Roles& roles) {
  return fill(c, in_order(roles, {Kind::dgpu, Kind::igpu, Kind::npu, Kind::cpu, Kind::other}));
}
std::optional<Placement> prefer_npu(const Chain& c, const Roles& roles) {
  return fill(c, in_order(roles, {Kind::npu, Kind::dgpu, Kind::igpu, Kind::cpu, Kind::other}));
}
std::optional<Placement> automatic(const Chain& c, const Roles& roles) {
  for (auto d : in_order(roles, {Kind::dgpu, Kind::igpu, Kind::npu, Kind::cpu, Kind::other}))
    if (auto x = all_on(c, Devices(c.units.size(), d))) return x;
  return std::nullopt;
}

// Each unit in turn where it ends first: its time and the move from where the last one was.
std::optional<Placement> dmda(const Chain& c, const Roles& roles) {
  Filler filler(c);
  std::size_t from = c.host();
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    std::vector<std::pair<double, std::size_t>> ends;
    for (std::size_t d = 0; d < roles.device.size(); ++d)
      if (auto option = option_on(c, u, d); option != nowhere)
        ends.push_back({c.units[u][option].cost + c.move(u, from, c.units[u][option].place), d});
    std::sort(ends.begin(), ends.end());
    for (const auto& [end, d] : ends)
      if (filler.put(u, d)) {
        from = c.units[u][option_on(c, u, d)].place;
        break;
      }
  }
  return filler.placement();
}

// By time saved against the CPU for the bytes taken, then the rest on the CPU; moves are not looked at.
std::optional<Placement> density(const Chain& c, const Roles& roles) {
  struct Change {
    double worth;
    std::size_t unit, device;
  };
  std::vector<Change> changes;
  const std::size_t cpu = processor(roles);
  for (std::size_t u = 0; u < c.units.size(); ++u) {
    const std::size_t base = option_on(c, u, cpu);
    for (std::size_t d = 0; d < roles.device.size(); ++d) {
      const std::size_t option = option_on(c, u, d);
      if (d == cpu || option == nowhere) continue;
      const Option& o = c.units[u][option];
      const double bytes = static_cast<double>(*std::max_element(o.takes.begin(), o.takes.end()));
      const double saved = base == nowhere ? never : c.units[u][base].cost - o.cost;
      if (saved > 0) changes.push_back({saved / std::max(1.0, bytes), u, d});
    }
  }
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.worth > b.worth; });
  Filler filler(c);
  for (const Change& change : changes)
    if (!filler.placed(change.unit)) filler.put(change.unit, change.device);
  for (std::size_t u = 0; u < c.units.size(); ++u)
    if (!filler.placed(u)) filler.put(u, cpu);
  return filler.placement();
}

std::optional<Placement> random(const Chain& c, const Roles& roles) {
  std::mt19937_64 dice(1);
  for (int draw = 0; draw < 100; ++draw) {
    Filler filler(c);
    for (std::size_t u = 0; u < c.units.size(); ++u) {
      Devices order(roles.device.size());
      for (std::size_t d = 0; d < order.size(); ++d) order[d] = d;
      std::shuffle(order.begin(), order.end(), dice);
      for (auto d : order)
        if (filler.put(u, d)) break;
    }
    if (auto x = filler.placement()) return x;
  }
  return std::nullopt;
}

constexpr Rule rules[] = {
    {"density", "by time saved per byte against the CPU, then fill", density},
    {"dmda", "StarPU's dmda (HEFT): each layer where it ends first", dmda},
    {"llama.cpp --fit", "dense parts to the GPUs first, then experts from the front", llama_fit},
    {"llama.cpp -ngl", "the last layers to the GPUs by free memory, as many as fit", llama_ngl},
    {"single", "the best single device that holds all", single},
    {"AUTO", "OpenVINO AUTO: the first of dGPU, iGPU, NPU, CPU that holds all", automatic},
    {"HETERO", "OpenVINO HETERO:GPU,NPU,CPU: each layer on the first that has room", hetero},
    {"PREFER_NPU", "ONNX Runtime PREFER_NPU: the NPU first, then GPU, CPU", prefer_npu},
    {"random", "the first of 100 random placements that fits", random},
};

}  // namespace

std::span<const Rule> all_rules() { return rules; }

}  // namespace switchyard::test
