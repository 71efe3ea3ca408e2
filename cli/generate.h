// What run, logits and bench share: which device runs which unit, and the executor opened for it.
#pragma once
#include "cli/planning.h"

namespace switchyard::cli {

// How exactly a model is computed; the same words for everyone who opens, plans or measures one.
struct PrecisionArguments {
  std::string activations = "auto", kv = "auto";
  void add_to(CLI::App& app);
  void apply(scheduler::StageOptions& options) const;
};

// Read from a file of `run --record-routing`; refused where it is broken or of another model.
std::shared_ptr<const scheduler::RoutingTrace> trace_of(const std::string& path, const models::Model& model);

// Experts of a device shared with another one, by the use that a trace recorded.
struct ExpertArguments {
  std::string trace, budget, rest = "cpu:0";
  void add_to(CLI::App& app);
  // Sets `options.experts`, and the device of feed-forward parts that are wholly the other's.
  void place(Fleet& fleet, const models::Model& model, std::vector<hal::DeviceRef>& devices,
             scheduler::StageOptions& options) const;
};

struct PlacementArguments {
  std::string device = "auto", plan, profile, trace, context = "4096";
  PrecisionArguments precision;
  bool strict = false;
  ExpertArguments experts;
  std::function<void(const scheduler::StepRouting&)> on_routing;  // as StageOptions; no option of the tool
  void add_to(CLI::App& app);
};

struct Placed {
  std::unique_ptr<scheduler::Executor> executor;
  std::optional<scheduler::Plan> plan;  // where one was made or given; not where a device was named
  // What the steps are predicted by; none: a device was named, and this machine has not been measured.
  std::optional<probes::Profile> profile;
};

// --plan: as it says. A device named: every unit there; what it declines goes to the CPU, said on stderr, unless
// --strict, which fails with the ops and reasons. auto: a plan made from this machine's profile, and from the trace of
// --experts if there is one.
Placed place(const PlacementArguments& a, Fleet& fleet, models::Model model, std::int64_t tokens_needed);

}  // namespace switchyard::cli
