// Where a session may run, and the placement that follows from it. Internal to serve/.
#pragma once
#include <map>
#include <set>

#include "probes/discover/devices.h"
#include "scheduler/run/place.h"

namespace switchyard::scheduler {

// A pin in words: see SessionOptions.
struct Where {
  std::string device;              // a door's id; empty: any
  std::set<std::string> avoid;     // doors' ids
  std::vector<std::string> parts;  // as pin_from takes them
  bool strict = false;
};
// not_found, invalid_argument: naming the part of the text that makes no sense.
hal::Result<Where> where_from(std::string_view text, bool strict, const probes::Machine& machine);

struct Placement {
  std::vector<std::string> devices;       // one per unit, doors' ids
  std::optional<double> step_seconds;     // decode of one session, if it was planned
  std::vector<std::string> used() const;  // each once, in the order of the model
  std::string text() const;               // "vulkan:0 + cpu:0"
};

class Placer {
 public:
  Placer(const probes::Machine& machine, std::optional<probes::Profile> profile, const models::Model& model,
         const StageOptions& options);
  // None of the devices in `resting` is used. unavailable: nothing is left, or a strict pin is to one of them; the rest
  // as make_plan. Any thread.
  hal::Result<Placement> place(const Where& where, const std::set<std::string>& resting) const;
  const std::optional<probes::Profile>& profile() const { return profile_; }
  const std::vector<Unit>& units() const { return request_.units; }
  const probes::Machine& machine() const { return machine_; }

 private:
  hal::Result<Placement> planned(const Where& where, const probes::Machine& machine) const;

  probes::Machine machine_;
  std::optional<probes::Profile> profile_;
  PlanRequest request_;
};

}  // namespace switchyard::scheduler
