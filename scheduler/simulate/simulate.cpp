#include "scheduler/simulate/simulate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace switchyard::scheduler {
namespace {

using namespace hal;

// All that one round hands to the next: when devices are free and when groups may begin.
struct Ready {
  std::vector<double> device, group;
};

Status check(std::span<const SimulatedStage> stages, std::size_t groups) {
  auto bad = [](const std::string& text) { return Error{Code::invalid_argument, "simulate: " + text}; };
  if (stages.empty() || groups == 0)
    return bad(std::to_string(stages.size()) + " stages, " + std::to_string(groups) + " groups; at least one of each");
  for (std::size_t s = 0; s < stages.size(); ++s) {
    const std::string stage = "stage " + std::to_string(s);
    if (stages[s].compute.size() != groups || (!stages[s].transfer.empty() && stages[s].transfer.size() != groups))
      return bad(stage + " has times of " + std::to_string(stages[s].compute.size()) + " steps and " +
                 std::to_string(stages[s].transfer.size()) + " transfers for " + std::to_string(groups) + " groups");
    if (stages[s].device >= stages.size())
      return bad(stage + " is on device " + std::to_string(stages[s].device) + ", which is not below the " +
                 std::to_string(stages.size()) + " stages");
    for (const auto* times : {&stages[s].compute, &stages[s].transfer})
      for (double t : *times)
        if (!(t >= 0) || std::isinf(t)) return bad(stage + " has a time of " + std::to_string(t));
  }
  return ok();
}

Ready at_start(std::span<const SimulatedStage> stages, std::size_t groups, double time) {
  std::size_t devices = 0;
  for (const SimulatedStage& s : stages) devices = std::max(devices, s.device + 1);
  return {std::vector<double>(devices, time), std::vector<double>(groups, time)};
}

// One round of the groups that `live` says; `job` is called for each job with its begin and end.
template <class Live, class Job>
void run_round(std::span<const SimulatedStage> stages, Ready& ready, const Live& live, const Job& job) {
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (std::size_t g = 0; g < ready.group.size(); ++g) {
      if (!live(g)) continue;
      double &device = ready.device[stages[s].device], &group = ready.group[g];
      const double begin = std::max(device, group);
      device = group = begin + (stages[s].transfer.empty() ? 0 : stages[s].transfer[g]) + stages[s].compute[g];
      job(s, g, begin, group);
    }
}

}  // namespace

Result<Simulation> simulate(std::span<const SimulatedStage> stages, std::span<const std::int64_t> rounds) {
  HAL_CHECK(check(stages, rounds.size()));
  const auto [least, most] = std::minmax_element(rounds.begin(), rounds.end());
  if (*least < 0) return Error{Code::invalid_argument, "simulate: a group of " + std::to_string(*least) + " rounds"};
  Simulation out;
  Ready ready = at_start(stages, rounds.size(), 0);
  out.busy.resize(ready.device.size());
  for (std::int64_t r = 0; r < *most; ++r)
    run_round(
        stages, ready, [&](std::size_t g) { return r < rounds[g]; },
        [&](std::size_t s, std::size_t g, double begin, double end) {
          out.jobs.push_back({stages[s].device, s, g, r, begin, end});
          out.busy[stages[s].device] += end - begin;
          out.makespan = std::max(out.makespan, end);
        });
  for (double& share : out.busy) share = out.makespan > 0 ? share / out.makespan : 0;
  return out;
}

// A round is linear in the algebra of (max, +): the times after it are A times those before. Column j of A is a round
// that starts from 0 at j and from minus infinity elsewhere. The period is A's largest cycle mean, found by the
// recurrence of R. Karp, "A characterization of the minimum cycle mean in a digraph", 1978 (here: of the maximum), on
// walks from anywhere.
Result<double> steady_period(std::span<const SimulatedStage> stages, std::size_t groups) {
  HAL_CHECK(check(stages, groups));
  constexpr double never = -std::numeric_limits<double>::infinity();
  const std::size_t devices = at_start(stages, groups, 0).device.size(), n = devices + groups;
  std::vector<std::vector<double>> column;
  for (std::size_t j = 0; j < n; ++j) {
    Ready ready = at_start(stages, groups, never);
    (j < devices ? ready.device[j] : ready.group[j - devices]) = 0;
    run_round(
        stages, ready, [](std::size_t) { return true; }, [](auto...) {});
    auto& all = column.emplace_back(std::move(ready.device));
    all.insert(all.end(), ready.group.begin(), ready.group.end());
  }
  std::vector<std::vector<double>> longest{std::vector<double>(n, 0)};  // walks of k edges that end in v
  for (std::size_t k = 1; k <= n; ++k) {
    auto& walks = longest.emplace_back(n, never);
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t v = 0; v < n; ++v) walks[v] = std::max(walks[v], longest[k - 1][j] + column[j][v]);
  }
  double period = 0;
  for (std::size_t v = 0; v < n; ++v) {
    if (longest[n][v] == never) continue;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < n; ++k)
      if (longest[k][v] != never) least = std::min(least, (longest[n][v] - longest[k][v]) / static_cast<double>(n - k));
    period = std::max(period, least);
  }
  return period;
}

}  // namespace switchyard::scheduler
