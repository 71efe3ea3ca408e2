// What verbs that plan share: the machine a plan is for, its profile, and files of text.
#pragma once
#include "cli/fleet.h"
#include "scheduler/run/place.h"

namespace switchyard::cli {

// From `path` if given (refused if it was measured on another machine, driver or build); else the cached one, if it
// knows the model's units; else measured now, quickly, and cached. Says on stderr which it was.
probes::Profile profile_for(Fleet& fleet, const std::string& path, const models::Model& model,
                            const scheduler::StageOptions& options);

// The machine a plan is for: this one, or one from a file.
struct Target {
  probes::Machine machine;
  probes::Profile profile;
  scheduler::ClaimFunction claim;  // empty: the kernel library's
};

struct TargetArguments {
  std::string profile, machine;
  void add_to(CLI::App& app);
};

// This machine is measured first where its profile does not know the models.
Target target_for(const TargetArguments& a, const Global& global, std::initializer_list<const models::Model*> models,
                  const scheduler::StageOptions& options);

// A number with one of these units, "30ms": ends the verb with what `option` expects if it is none, or negative.
double amount_from(const std::string& option, const std::string& text,
                   std::initializer_list<std::pair<const char*, double>> units);

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

}  // namespace switchyard::cli
