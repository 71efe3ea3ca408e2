#include "scheduler/serve/canary.h"

#include <algorithm>
#include <cstdio>

#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "kernels/library.h"
#include "kernels/rmsnorm/rmsnorm.h"

namespace switchyard::scheduler {

void CanarySchedule::opened(const std::string& device) {
  std::lock_guard lock(mutex_);
  devices_[device] = {"opened", 0, options_.now()};
}

void CanarySchedule::closed(const std::string& device) {
  std::lock_guard lock(mutex_);
  devices_.erase(device);
}

void CanarySchedule::stepped(const std::string& device, std::uint64_t steps) {
  std::lock_guard lock(mutex_);
  if (const auto found = devices_.find(device); found != devices_.end()) found->second.steps += steps;
}

void CanarySchedule::mismatch(const std::string& device, const std::string& what) {
  std::lock_guard lock(mutex_);
  if (const auto found = devices_.find(device); found != devices_.end()) found->second.asked = what;
}

std::optional<std::string> CanarySchedule::due(const std::string& device) const {
  std::lock_guard lock(mutex_);
  const auto found = devices_.find(device);
  if (found == devices_.end()) return std::nullopt;
  const State& state = found->second;
  if (!state.asked.empty()) return state.asked;
  if (options_.every_steps && state.steps >= options_.every_steps)
    return std::to_string(state.steps) + " steps since the last";
  const auto since = options_.now() - state.checked_at;
  if (options_.every.count() && state.steps && since >= options_.every)
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(since).count()) + " s since the last";
  return std::nullopt;
}

void CanarySchedule::checked(const std::string& device) {
  std::lock_guard lock(mutex_);
  if (const auto found = devices_.find(device); found != devices_.end()) found->second = {"", 0, options_.now()};
}

std::string to_string(const CanaryResult& result) {
  char text[80];
  std::snprintf(text, sizeof text, "%s: relative error %.3g, tolerance %.3g", result.right() ? "right" : "wrong",
                result.error, result.tolerance);
  return text;
}

hal::Result<CanaryResult> canary(hal::Device& device) {
  constexpr std::int64_t rows = 8, inner = 256, outer = 64;
  kernels::SegmentBuilder b;
  const hal::Dim t{rows, rows, kernels::sym_rows};
  const auto x = b.input(hal::DType::f32, {t, {inner, inner}});
  const auto norm = b.constant(hal::DType::f32, {inner}, 1, {}, nullptr);
  const auto w = b.constant(hal::DType::f32, {outer, inner}, 2, {}, nullptr);
  b.output(kernels::gemm::append(b, kernels::rmsnorm::append(b, x, norm, 1e-5f), w));
  kernels::Case c{"canary", b.take(), {rows}, {}};
  const kernels::CaseData data = kernels::make_data(c, 1);

  const hal::Claim claim = device.claim(data.c.segment);
  if (!claim.whole())
    return hal::Error{hal::Code::unsupported, device.info().id + " does not take the canary: " +
                                                  (claim.declined.empty() ? "no reason" : claim.declined[0].why)};
  std::vector<std::vector<double>> expected;
  HAL_CHECK(kernels::run_reference(data, expected));
  HAL_TRY(const auto run, kernels::run_on(device, data));
  CanaryResult result{kernels::compare(data, expected, run).error, 0};
  // A compiler of graphs may choose f16, whose rounding is 5e-4; numbers of a broken device are off by far more.
  if (device.info().accepts(hal::Format::graph)) result.tolerance = 1e-2;
  for (const hal::Node& node : data.c.segment.nodes)
    result.tolerance += kernels::find_op(node.op)->tolerance.f32;  // each adds its own
  return result;
}

}  // namespace switchyard::scheduler
