// What run, logits and bench share: which device runs which unit, and the engine opened for it.
#pragma once
#include "cli/planning.h"

namespace switchyard::cli {

struct PlacementArguments {
  std::string device = "auto", plan, profile, activations = "auto", trace, context = "4096";
  bool strict = false;
  void add_to(CLI::App& app);
};

// --activations: "f32" computes exactly, with an f32 KV cache; "auto" lets devices round to 8 bits, with an f16 one.
void set_activations(scheduler::StageOptions& options, const std::string& activations);

struct Placed {
  std::unique_ptr<scheduler::Engine> engine;
  std::optional<scheduler::Plan> plan;  // where one was made or given; not where a device was named
};

// --plan: as it says. A device named: every unit there; what it declines goes to the CPU, said on stderr, unless
// --strict, which fails with the ops and reasons. auto: a plan made from this machine's profile.
Placed place(const PlacementArguments& a, Fleet& fleet, models::Model model, std::int64_t tokens_needed);

}  // namespace switchyard::cli
