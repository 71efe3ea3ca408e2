// What plan, profile and run share: the profile of this machine, and files of text.
#pragma once
#include "cli/fleet.h"
#include "scheduler/run/place.h"

namespace switchyard::cli {

// From `path` if given (refused if it was measured on another machine, driver or build); else the cached one, if it
// knows the model's units; else measured now, quickly, and cached. Says on stderr which it was.
probes::Profile profile_for(Fleet& fleet, const std::string& path, const models::Model& model,
                            const scheduler::StageOptions& options);

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

}  // namespace switchyard::cli
