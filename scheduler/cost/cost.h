// What a unit of a model or a move of its hidden rows takes on a device, from a profile. Every answer says how it was
// got.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <string>

#include "hal/segment.h"
#include "probes/profile.h"

namespace switchyard::scheduler {

// Best first. measured: this unit at this step; interpolated: this unit at other steps, scaled by the work; ops: its
// ops measured at other shapes, scaled by the work; roofline: bytes and operations against the device's measured rates.
enum class How : std::uint8_t { measured, interpolated, ops, roofline };
const char* to_string(How how);

// error: one standard deviation as a share of seconds, from what was measured: the spread of the samples; how well the
// other steps of the unit foretell each one; how much the op, or all that was measured on the device, strays from its
// roofline. None: nothing was measured that tells.
struct Estimate {
  double seconds = 0;
  How how = How::roofline;
  std::string detail;  // "3 steps measured", "2 of 7 ops by roofline", "varied by 40 %"
  std::optional<double> error;
};

// The least time a step of a unit can take on a device of these measured rates: op by op the slower of its bytes and
// its operations. memory and compute: the sums over the ops each of them binds; seconds is their sum.
struct Limit {
  double seconds = 0, memory = 0, compute = 0;
};
Limit limit_of(const probes::DeviceProfile& rates, const hal::Segment& segment, const probes::Step& step);

// The profile must outlive it. One thread at a time (it remembers what it has computed).
class CostModel {
 public:
  explicit CostModel(const probes::Profile& profile) : profile_(profile) {}
  const probes::Profile& profile() const { return profile_; }

  // Device time of one step of a unit. unavailable: the profile has not measured the device.
  hal::Result<Estimate> unit(const std::string& device, const hal::Segment& segment, const probes::Step& step);
  // How many times longer that takes while `beside` works all the time; 1: not measured, or the same device.
  double slowed(const std::string& device, const std::string& beside, const hal::Segment& segment,
                const probes::Step& step);
  // The device's own report of what the unit takes; 0: not measured.
  hal::Bytes resident(const std::string& device, const hal::Segment& segment);
  std::optional<probes::Power> power(const std::string& device) const;  // none: not known
  const std::optional<probes::Power>& rest() const { return profile_.rest; }
  // From submission to arrival; from == to: nothing. "" is the host.
  Estimate move(const std::string& from, const std::string& to, double bytes) const;

 private:
  struct Work {
    std::string op, weights;
    kernels::Products products;
    double rows, flops, bytes;
  };
  using StepKey = std::array<std::int64_t, 4>;
  const std::string& key_of(const hal::Segment& segment);
  const std::vector<Work>& work_of(const hal::Segment& segment, const probes::Step& step);
  double roofline_of(const probes::DeviceProfile& device, const hal::Segment& segment, const probes::Step& step);
  double stray(const probes::DeviceProfile& device, const probes::OpEntry* like) const;
  Estimate estimate(const probes::DeviceProfile& device, const hal::Segment& segment, const probes::Step& step);

  const probes::Profile& profile_;
  std::map<std::uint64_t, std::string> keys_;  // by the segment's hash
  std::map<std::pair<std::string, StepKey>, std::vector<Work>> work_;
  std::map<std::tuple<std::string, std::string, StepKey>, Estimate> estimates_;  // by device, unit and step
};

}  // namespace switchyard::scheduler
