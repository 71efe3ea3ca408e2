#include "cli/planning.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "probes/described.h"
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

Target described(const std::string& text) {
  probes::Described d = check(probes::described_from_json(text));
  say("for " + d.title + ": described, not measured");
  return {std::move(d.machine), std::move(d.profile), std::move(d.claim)};
}

// None: the plan is for this machine.
std::optional<Target> elsewhere(const TargetArguments& a) {
  if (a.machine.empty()) {
    if (a.profile.empty()) return std::nullopt;
    const std::string text = read_text(a.profile);
    if (!probes::is_described(text)) return std::nullopt;
    return described(text);
  }
  const std::string text = read_text(a.machine);
  if (probes::is_described(text)) {
    if (!a.profile.empty()) fail(usage, "--machine " + a.machine + " is described: it has no other --profile");
    return described(text);
  }
  if (a.profile.empty())
    fail(usage, "--machine " + a.machine + ": add --profile, as measured there with `switchyard profile -o`");
  Target target{check(probes::machine_from_json(text)), check(probes::load_profile(a.profile)), {}};
  if (target.profile.machine != probes::key(target.machine))
    fail(refused, a.profile + " was measured on machine " + target.profile.machine + ", " + a.machine + " is " +
                      probes::key(target.machine) + " (another chip, driver or memory size)");
  say("for machine " + probes::key(target.machine) + " of " + a.machine);
  return target;
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

void TargetArguments::add_to(CLI::App& app) {
  app.add_option("--profile", profile,
                 "a profile made by `switchyard profile`, or a described machine; default: this machine's profile, "
                 "measured if there is none");
  app.add_option("--machine", machine,
                 "plan for a machine that is not this one: a file made by `switchyard devices -o` there, with its "
                 "--profile, or a described machine");
}

Target target_for(const TargetArguments& a, const Global& global, std::initializer_list<const models::Model*> models,
                  const scheduler::StageOptions& options) {
  if (auto there = elsewhere(a)) return std::move(*there);
  Fleet fleet(global);
  Target here{fleet.machine(), {}, {}};
  for (const models::Model* model : models) here.profile = profile_for(fleet, a.profile, *model, options);
  return here;
}

double amount_from(const std::string& option, const std::string& text,
                   std::initializer_list<std::pair<const char*, double>> units) {
  char* unit = nullptr;
  const double value = std::strtod(text.c_str(), &unit);
  std::string known;
  for (const auto& [name, factor] : units) {
    if (unit != text.c_str() && std::string(unit) == name && value >= 0 && value * factor <= 1e18)
      return value * factor;
    known += (known.empty() ? "" : ", ") + std::string(*name ? name : "none");
  }
  fail(usage, option + " " + text + ": expected a number with one of the units " + known);
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
