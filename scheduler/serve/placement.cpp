#include "scheduler/serve/placement.h"

#include <algorithm>

namespace switchyard::scheduler {

using namespace hal;

namespace {

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

Result<Where> where_from(std::string_view text, bool strict, const probes::Machine& machine) {
  Where where;
  where.strict = strict;
  for (std::string_view rest = text; !trimmed(rest).empty();) {
    const auto comma = rest.find(',');
    const std::string_view item = trimmed(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    if (item.empty()) return Error{Code::invalid_argument, "pin '" + std::string(text) + "': nothing between commas"};
    if (item.substr(0, 4) == "not ") {
      HAL_TRY(const auto doors, probes::doors_named(machine, trimmed(item.substr(4))));
      where.avoid.insert(doors.begin(), doors.end());
    } else if (item.find('=') != std::string_view::npos) {
      where.parts.emplace_back(item);
    } else if (where.device.empty()) {
      HAL_TRY(const probes::Choice choice, probes::resolve(machine, item));
      where.device = choice.id;
    } else {
      return Error{Code::invalid_argument, "pin '" + std::string(text) + "': two devices for everything, " +
                                               where.device + " and " + std::string(item) +
                                               "; parts go to different devices as PART=DEVICE"};
    }
  }
  if (where.avoid.count(where.device))
    return Error{Code::invalid_argument,
                 "pin '" + std::string(text) + "': " + where.device + " is asked for and ruled out"};
  return where;
}

std::vector<std::string> Placement::used() const {
  std::vector<std::string> ids;
  for (const std::string& id : devices)
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  return ids;
}

std::string Placement::text() const {
  std::string all;
  for (const std::string& id : used()) all += (all.empty() ? "" : " + ") + id;
  return all;
}

Placer::Placer(const probes::Machine& machine, std::optional<probes::Profile> profile, const models::Model& model,
               const StageOptions& options)
    : machine_(machine), profile_(std::move(profile)), request_(request_for(model, options)) {}

Result<Placement> Placer::place(const Where& where, const std::set<std::string>& resting) const {
  auto gone = [&](const std::string& id) { return where.avoid.count(id) || resting.count(id); };
  Where asked = where;
  if (resting.count(where.device)) {
    if (where.strict) return Error{Code::unavailable, where.device + " has failed and rests; the pin is strict"};
    asked.device.clear();
  }
  probes::Machine left = machine_;
  for (probes::Chip& chip : left.chips)
    chip.doors.erase(
        std::remove_if(chip.doors.begin(), chip.doors.end(), [&](const probes::Door& d) { return gone(d.info.id); }),
        chip.doors.end());
  left.chips.erase(
      std::remove_if(left.chips.begin(), left.chips.end(), [](const probes::Chip& c) { return c.doors.empty(); }),
      left.chips.end());
  if (left.chips.empty()) {
    std::string all;
    for (const probes::Door* d : machine_.doors())
      all += (all.empty() ? "" : ", ") + d->info.id + (resting.count(d->info.id) ? " (failed, rests)" : " (ruled out)");
    return Error{Code::unavailable, "no device is left: " + all};
  }
  if (profile_) return planned(asked, left);
  if (!asked.parts.empty())
    return Error{Code::unavailable,
                 "parts on different devices are planned, and nothing has been measured: give the "
                 "engine a profile, or pin the session to one device"};
  // Nothing is known of speeds: the device asked for, or the first that is left.
  const std::string id = asked.device.empty() ? left.doors().front()->info.id : asked.device;
  return Placement{std::vector<std::string>(request_.units.size(), id), std::nullopt};
}

Result<Placement> Placer::planned(const Where& where, const probes::Machine& machine) const {
  PlanRequest request = request_;
  request.device = where.device;
  request.strict = where.strict;
  for (const std::string& part : where.parts) {
    auto pin = pin_from(part, request.units, machine);
    if (!pin && !where.strict && pin_from(part, request.units, machine_)) continue;  // its device rests
    if (!pin) return pin.error();
    request.pins.push_back(std::move(*pin));
  }
  HAL_TRY(const Plan plan, make_plan(machine, *profile_, request));
  if (!plan.fits) return Error{Code::out_of_memory, request.model + " does not fit: " + plan.shortage};
  return Placement{plan.devices(), plan.step_seconds};
}

}  // namespace switchyard::scheduler
