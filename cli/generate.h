// What run and logits share: which device runs which unit, and the engine opened for it.
#pragma once
#include "cli/fleet.h"
#include "scheduler/run/engine.h"

namespace switchyard::cli {

struct PlacementArguments {
  std::string device = "auto", plan, activations = "auto", trace, context = "4096";
  bool strict = false;
  void add_to(CLI::App& app);
  // Opens the model on the devices asked for. Strict, or a device named: every unit on it, or the reasons why not.
  std::unique_ptr<scheduler::Engine> open(Fleet& fleet, models::Model model, std::int64_t tokens_needed) const;
};

}  // namespace switchyard::cli
