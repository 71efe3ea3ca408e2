#include "cli/planning.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "probes/measure/measure.h"

namespace switchyard::cli {

namespace {

// Every device has every distinct unit's time, or has refused it in this profile's own measurement.
bool knows(const probes::Profile& profile, const std::vector<scheduler::Unit>& units) {
  std::set<std::string> wanted, seen;
  for (const scheduler::Unit& u : units) wanted.insert(probes::unit_key(u.segment));
  for (const probes::DeviceProfile& d : profile.devices)
    for (const probes::UnitEntry& e : d.units) seen.insert(e.key);
  return std::includes(seen.begin(), seen.end(), wanted.begin(), wanted.end());
}

}  // namespace

probes::Profile profile_for(Fleet& fleet, const std::string& path, const models::Model& model,
                            const scheduler::StageOptions& options) {
  if (!path.empty()) {
    probes::Profile profile = check(probes::load_profile(path));
    check(probes::check_fresh(profile, fleet.machine(), probes::build_id()));
    return profile;
  }
  const std::string cached = check(probes::cache_path(fleet.machine()));
  std::vector<scheduler::Unit> units = scheduler::units_of(model, options);
  probes::Profile profile;
  if (auto loaded = probes::load_profile(cached)) {
    if (auto fresh = probes::check_fresh(*loaded, fleet.machine(), probes::build_id()); !fresh) {
      say("measuring again: " + fresh.error().message);
    } else if (knows(*loaded, units)) {
      say("profile: " + cached);
      return std::move(*loaded);
    } else {
      profile = std::move(*loaded);
    }
  }
  say("measuring the layers of " + model.name + " on every device (kept in " + cached + ")");
  probes::MeasureOptions measure;
  measure.quick = true;
  for (scheduler::Unit& u : units) measure.units.push_back({u.name, std::move(u.segment)});
  measure.progress = [](std::string_view what, double done) { progress(what, done); };
  std::vector<hal::Absence> failed_devices;
  probes::Profile fresh = check(probes::measure_machine(fleet.devices(), measure, failed_devices));
  progress("", 1.0);
  for (const hal::Absence& f : failed_devices) say("not measured: " + f.api + " (" + f.code + "): " + f.detail);
  if (profile.devices.empty()) {
    profile = std::move(fresh);
  } else {
    probes::merge(profile, fresh);
  }
  check(probes::save(profile, cached));
  return profile;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) fail(refused, "cannot read " + path);
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.flush();
  if (!file) fail(failed, "cannot write " + path);
}

}  // namespace switchyard::cli
