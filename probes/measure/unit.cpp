#include <algorithm>

#include "probes/measure/measure.h"
#include "probes/measure/step.h"

namespace switchyard::probes {
namespace {

bool fixed_shapes(const hal::Claim& claim) {
  return std::any_of(claim.groups.begin(), claim.groups.end(), [](const hal::Group& g) { return g.fixed_shapes; });
}

}  // namespace

hal::Result<UnitEntry> measure_segment(hal::Device& device, const hal::Segment& segment,
                                       const std::vector<std::int64_t>& dims,
                                       const std::map<std::uint32_t, kernels::Fill>& fills, const Effort& effort) {
  hal::Segment s = segment;
  if (fixed_shapes(device.claim(s)))
    for (hal::Tensor& t : s.values)
      for (hal::Dim& d : t.shape)
        if (d.symbol >= 0) d.min = d.max = hal::resolve(d, dims);
  HAL_TRY(auto runner, Runner::make(device, s));
  HAL_CHECK(runner->load(dims, fills));
  UnitEntry e;
  e.resident = runner->resident();
  e.scratch = runner->scratch();
  HAL_TRY(e.seconds, runner->time(effort));
  return e;
}

hal::Result<std::vector<UnitEntry>> measure_unit(hal::Device& device, const UnitToMeasure& unit,
                                                 std::span<const Step> steps, const Effort& effort,
                                                 double limit_seconds, std::vector<std::string>& notes) {
  auto began = std::chrono::steady_clock::now();
  const bool fixed = fixed_shapes(device.claim(unit.segment));
  std::vector<Step> different;
  Step all{1, 1, 0, 1};  // covers every step
  for (const Step& asked : steps) {
    Step s = relevant(unit.segment, asked);
    if (std::find(different.begin(), different.end(), s) == different.end()) different.push_back(s);
    all.sequences = std::max(all.sequences, s.sequences);
    all.logits = std::max(all.logits, s.logits);
    all.rows = std::max(all.rows, s.rows);
    all.past = std::max(all.past, s.past + s.rows);
  }
  hal::Segment segment = fitted(unit.segment, all);
  std::unique_ptr<Runner> runner;
  std::vector<UnitEntry> entries;
  auto left = [&] {
    return limit_seconds - std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  auto known = [&](const Step& step) {
    return std::any_of(entries.begin(), entries.end(), [&](const UnitEntry& e) { return e.step == step; });
  };
  int late = 0;
  for (Step step : different) {
    if (!entries.empty()) {
      // At worst, time grows with the rows from the most there were so far; twice, for a warm-up and a sample.
      const UnitEntry& most = *std::max_element(entries.begin(), entries.end(),
                                                [](const auto& a, const auto& b) { return a.step.rows < b.step.rows; });
      const double a_row = most.seconds.median / static_cast<double>(most.step.rows);
      const std::int64_t wanted = step.rows;
      while (step.rows / 2 >= step.sequences && 2 * a_row * static_cast<double>(step.rows) > left()) step.rows /= 2;
      late += step.rows != wanted;
      if (known(step) || 2 * a_row * static_cast<double>(step.rows) > left()) {
        late += step.rows == wanted;
        continue;
      }
    }
    if (fixed && step.sequences > 1) {
      notes.push_back(unit.name + " with " + std::to_string(step.sequences) +
                      " sequences: not measured, the device runs one at a time");
      continue;
    }
    if (fixed) segment = fixed_at(unit.segment, step);
    if (fixed || !runner) {
      HAL_TRY(runner, Runner::make(device, segment));
    }
    HAL_CHECK(runner->load(dims_of(step), fills_for(segment, step)));
    UnitEntry e{unit_key(unit.segment), unit.name, step, runner->resident(), runner->scratch(), {}};
    HAL_TRY(e.seconds, runner->time(effort));
    entries.push_back(std::move(e));
  }
  if (late)
    notes.push_back(unit.name + ": " + std::to_string(late) + " of " + std::to_string(different.size()) +
                    " steps would take too long; measured with fewer rows or left out");
  return entries;
}

}  // namespace switchyard::probes
