#include "cli/planning.h"

#include <fstream>
#include <sstream>

namespace switchyard::cli {

probes::Profile profile_for(Fleet& fleet, const std::string& path, const models::Model&, const scheduler::StageOptions&) {
  probes::Profile profile = check(probes::load_profile(path.empty() ? check(probes::cache_path(fleet.machine())) : path));
  check(probes::check_fresh(profile, fleet.machine(), probes::build_id()));
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
