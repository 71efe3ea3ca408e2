#include "probes/measure/measure.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "kernels/library.h"

namespace switchyard::probes {
namespace {

std::string now_utc() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
#if defined(_WIN32)
  gmtime_s(&parts, &now);
#else
  gmtime_r(&now, &parts);
#endif
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

class Watch {
 public:
  Watch(std::string device, const MeasureOptions& options, double limit, std::vector<std::string>& notes)
      : device_(std::move(device)), options_(options), limit_(limit), notes_(notes) {}
  double left() const {
    return limit_ - std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  // False (and a note) once the device's time is up.
  bool begin(const std::string& what) {
    if (left() <= 0) {
      char text[32];
      std::snprintf(text, sizeof text, "%.3g", limit_);
      notes_.push_back(what + ": not measured, the " + text + " s for this device were up");
      return false;
    }
    tell(what);
    return true;
  }
  void tell(const std::string& what) {
    if (options_.progress) options_.progress(device_ + ": " + what, std::clamp(1 - left() / limit_, 0.0, 1.0));
  }

 private:
  std::string device_;
  const MeasureOptions& options_;
  double limit_;
  std::vector<std::string>& notes_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

hal::Result<DeviceProfile> measure_device(hal::Device& device, const MeasureOptions& options) {
  const Effort effort = options.quick ? quick_effort : Effort{};
  DeviceProfile p;
  p.id = device.info().id;
  p.driver = device.info().driver;
  p.build = build_id();
  p.date = now_utc();
  Watch watch(p.id, options, options.device_seconds > 0 ? options.device_seconds : options.quick ? 5 : 120, p.notes);
  watch.tell("launch");
  HAL_TRY(p.launch, measure_launch(device, effort));
  watch.tell("copies");
  HAL_TRY(CopyCurves copies, measure_copies(device, effort, options.quick ? 16u << 20 : 64u << 20));
  p.to_device = std::move(copies.to_device);
  p.to_host = std::move(copies.to_host);
  HAL_CHECK(measure_rates(device, effort, p, [&](const std::string& what) { watch.tell(what); }));
  std::set<std::string> seen;
  std::vector<const UnitToMeasure*> units;
  for (const UnitToMeasure& unit : options.units)
    if (seen.insert(unit_key(unit.segment)).second) units.push_back(&unit);
  // Without a number for every unit there is no plan to rely on: the first step of each is measured however long it
  // takes.
  for (std::size_t i = 0; i < units.size(); ++i) {
    const UnitToMeasure& unit = *units[i];
    watch.tell(unit.name);
    auto entries = measure_unit(device, unit, options.steps, effort,
                                std::max(watch.left(), 0.0) / static_cast<double>(units.size() - i), p.notes);
    if (entries) {
      p.units.insert(p.units.end(), entries->begin(), entries->end());
    } else if (entries.error().code == hal::Code::device_lost) {
      return entries.error();
    } else {
      p.notes.push_back(unit.name + ": " + hal::describe(entries.error()));
    }
  }
  if (options.quick || !options.ops) return p;
  for (const kernels::OpInfo* op : kernels::ops()) {
    if (!watch.begin(op->name)) continue;
    HAL_TRY(auto entries, measure_op(device, *op, effort, p.notes));
    p.ops.insert(p.ops.end(), entries.begin(), entries.end());
  }
  return p;
}

hal::Result<Profile> measure_machine(Devices& devices, const MeasureOptions& options,
                                     std::vector<hal::Absence>& failed) {
  const Machine& machine = devices.machine();
  Profile profile;
  profile.machine = key(machine);
  std::vector<std::pair<std::string, hal::DeviceRef>> open;
  for (const Door* door : machine.doors()) {
    const std::string& id = door->info.id;
    if (!options.devices.empty() &&
        std::find(options.devices.begin(), options.devices.end(), id) == options.devices.end())
      continue;
    auto device = devices.open(id);
    auto measured = device ? measure_device(**device, options) : hal::Result<DeviceProfile>(device.error());
    if (!measured) {
      failed.push_back({door->info.api, "not_measured", id + ": " + hal::describe(measured.error()),
                        "measure it alone: switchyard profile --device " + id});
      continue;
    }
    profile.devices.push_back(std::move(*measured));
    open.emplace_back(id, *device);
  }
  if (profile.devices.empty()) {
    std::string why;
    for (const hal::Absence& a : failed) why += "\n  " + a.detail;
    return hal::Error{hal::Code::unavailable, "no device could be measured" + why};
  }
  const Effort effort = options.quick ? quick_effort : Effort{};
  for (const auto& [from_id, from] : open)
    for (const auto& [to_id, to] : open) {
      if (from_id == to_id) continue;
      if (options.progress) options.progress(from_id + " -> " + to_id, 1);
      auto curve = measure_link(*from, *to, effort, options.quick ? 1u << 20 : 16u << 20);
      if (curve)
        profile.links.push_back({from_id, to_id, hal::to_string(to->path(*from)), std::move(*curve)});
      else
        failed.push_back({"", "not_measured",
                          "copies " + from_id + " -> " + to_id + ": " + hal::describe(curve.error()),
                          "plans count them by way of the host"});
    }
  for (std::size_t a = 0; a < open.size(); ++a)
    for (std::size_t b = a + 1; b < open.size(); ++b) {
      if (options.progress) options.progress(open[a].first + " beside " + open[b].first, 1);
      auto both = measure_contention(*open[a].second, *open[b].second, effort);
      if (both)
        profile.contention.insert(profile.contention.end(), both->begin(), both->end());
      else
        failed.push_back({"", "not_measured",
                          open[a].first + " beside " + open[b].first + ": " + hal::describe(both.error()),
                          "plans take them to work as fast together as alone"});
    }
  return profile;
}

void merge(Profile& known, const Profile& fresh) {
  known.machine = fresh.machine;
  for (const DeviceProfile& d : fresh.devices) {
    auto old =
        std::find_if(known.devices.begin(), known.devices.end(), [&](const DeviceProfile& k) { return k.id == d.id; });
    if (old == known.devices.end()) {
      known.devices.push_back(d);
      continue;
    }
    DeviceProfile next = d;
    if (!next.power) next.power = old->power;  // as somebody declared it
    if (old->driver == d.driver &&
        old->build == d.build) {  // what an earlier run measured with the same code still holds
      if (next.ops.empty()) next.ops = old->ops;
      for (const UnitEntry& u : old->units)
        if (std::none_of(d.units.begin(), d.units.end(),
                         [&](const UnitEntry& n) { return n.key == u.key && n.step == u.step; }))
          next.units.push_back(u);
    }
    *old = std::move(next);
  }
  for (const Link& l : fresh.links) {
    auto old = std::find_if(known.links.begin(), known.links.end(),
                            [&](const Link& k) { return k.from == l.from && k.to == l.to; });
    if (old == known.links.end())
      known.links.push_back(l);
    else
      *old = l;
  }
  for (const Contention& c : fresh.contention) {
    std::erase_if(known.contention, [&](const Contention& k) { return k.device == c.device && k.beside == c.beside; });
    known.contention.push_back(c);
  }
}

}  // namespace switchyard::probes
