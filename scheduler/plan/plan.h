// Plan: who gets what and why. Made from a machine, a profile and a model's units; kept as JSON ("switchyard.plan/2",
// sorted keys); bound to model and machine. Every plan made or loaded passes check().
//
// What is counted per device: a unit's weights as the device holds them (a copy that several units share, such as a
// tied embedding and head, once), its state for all sessions at the context and what they keep of it, and once per
// device used: scratch for the largest unit there, and rows and logits that come and go, of the largest step (logits:
// one row per session).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hal/segment.h"
#include "probes/profile.h"

namespace switchyard::scheduler {

struct RoutingTrace;  // experts/trace.h

// A part of the chain that is placed as one: the embedding, a layer's mixer or feed-forward part, the head.
struct Unit {
  std::string name;          // "layer 3 (mamba)"
  std::string kind;          // "mamba", for pins
  std::int64_t layer = -1;   // its number, for pins; -1: not a layer
  hal::Segment segment;      // constants need no data
  hal::Bytes state = 0;      // of one session at the context, in bytes
  hal::Bytes zeros = 0;      // what state takes besides those of the sessions: the slot that every session starts from
  hal::Bytes kept = 0;       // of one session besides its state: checkpoints and what serves to go back
  hal::Bytes kept_once = 0;  // and of all sessions together
};

// latency: one session's next token. throughput: a token for every session, in one step of all or in steps of several
// groups of sessions that are in flight at once, on different devices. ttft: a prompt of one session.
// memory: the smallest shares of the pools. energy: the least for one session's next token, of the watts the profile
// has.
enum class Mode : std::uint8_t { latency, ttft, throughput, memory, energy };
const char* to_string(Mode mode);
hal::Result<Mode> mode_from(std::string_view name);  // invalid_argument lists the modes

// These units, by position in the chain, go to `device`.
struct Pin {
  std::vector<std::size_t> units;
  std::string device;  // a door's id
};
// "0-11=vulkan:0", "3=cpu", "head=cpu:0", "layer 3 (mamba)=cpu", "experts=cpu", "all=auto": numbers are layers with all
// their parts; a name is a unit's, or a kind, of every unit that is of it. The device as probes::resolve takes it.
// invalid_argument names the units there are.
hal::Result<Pin> pin_from(std::string_view text, const std::vector<Unit>& units, const probes::Machine& machine);

struct Plan;
struct ChainResult;

// What a plan must keep besides the memory there is. None: no limit.
struct Limits {
  std::optional<double> step_seconds;                     // until every session has its next token
  std::optional<double> prefill_seconds;                  // of the prompt
  std::optional<double> joules;                           // of a step
  std::optional<hal::Bytes> bytes;                        // of all pools together
  std::vector<std::pair<std::string, hal::Bytes>> pools;  // of a pool, or of a device, by name
  // With a device or pins: how many units may run elsewhere, and how long in a step. Neither: those that are refused
  // there and no other.
  std::optional<std::int64_t> fallbacks;
  std::optional<double> fallback_seconds;

  bool fall_back() const { return fallbacks || fallback_seconds; }
  bool operator==(const Limits&) const = default;
};

struct PlanRequest {
  std::string model;  // for people
  std::uint64_t model_hash = 0;
  std::vector<Unit> units;
  std::int64_t context =
      4096;  // tokens of every session that memory is kept for; decode steps are costed at the full context
  std::int64_t sessions = 1;
  std::int64_t prompt = 512;        // tokens of the prefill that is predicted
  std::int64_t chunk = 256;         // rows of one prefill step, and the most of any step
  std::int64_t max_sequences = 32;  // the most of any step
  Mode mode = Mode::latency;
  std::int64_t rows = 1;  // throughput: tokens of each session in a step; 1: decode, more: prompts are read
  std::int64_t groups =
      0;  // throughput: of as many sessions each, in flight at once; 0: the best number of equal groups
  std::vector<Pin> pins;
  std::string device;   // a door's id: everything there; what it declines goes elsewhere, unless strict
  bool strict = false;  // with `device` or pins: fail with every op, shape and reason instead
  Limits limits;
  double effort = 1;  // of the solver, as in ChainOptions
  // Of this request when a device was faster or slower: the search begins there, and is short.
  const Plan* before = nullptr;
  // Of the model: a feed-forward part may have the experts used least there on another device, see expert_options.h.
  std::shared_ptr<const RoutingTrace> experts;
  bool advise = false;  // also look for what would make the plan better (Plan::better_with): several plans more
};

struct Refusal {
  std::string device, code, detail;  // code: "unsupported", "too_large", "not_measured", "pinned"
};
struct RunnerUp {
  std::string device;
  double seconds = 0;  // of the unit there
  std::string why;     // why it is not the winner
};
// Experts of a layer that are not on its device: an option of expert_options.h.
struct PlannedExperts {
  std::string device;                            // of the others
  std::vector<bool> chosen;                      // one per expert: on the layer's device
  double step_seconds = 0, prefill_seconds = 0;  // of the layer, by the trace
};
struct PlannedLayer {
  std::string layer, device;
  double seconds = 0;       // in one step of the mode
  hal::Bytes bytes = 0;     // weights and state; a shared copy counts for its first user
  std::string how, detail;  // of seconds: as in cost.h
  std::optional<RunnerUp> runner_up;
  std::vector<Refusal> refused;
  std::optional<double> error;   // of seconds: as in cost.h
  std::optional<double> joules;  // in one step; none: no figure for its device
  std::optional<PlannedExperts> experts;
};
struct PoolUse {
  std::string pool;
  hal::Bytes bytes = 0, capacity = 0;
  std::string within;  // a device's own limit inside another pool: that pool; its bytes are not in total_bytes again
};
struct Move {
  std::string before, from, to;  // the unit it precedes (or "end"); an empty device is the host
  double bytes = 0, seconds = 0;
  std::string how;
};

// A limit that was asked for, and what the plan takes of it.
struct KeptLimit {
  std::string what;            // "step", "prompt", "energy", "memory", "memory POOL", "elsewhere", "seconds elsewhere"
  double limit = 0, used = 0;  // seconds, joules, bytes or units
  // A plan would be better by this share of the objective without it, or with a tenth (a unit) more of it; 0: by no
  // more than `simple_enough`. It binds where it is above 0.
  double better_without = 0, better_with_more = 0;
};

// What energy is counted from.
struct PowerUsed {
  std::string device;  // empty: the machine at rest
  double watts = 0;
  std::string source, from;  // "declared" or "measured"
};

// So much more memory in a pool would allow a plan that is better by this share of the objective.
struct More {
  std::string pool;
  hal::Bytes bytes = 0;
  double faster = 0;
};

struct Plan {
  std::string model, machine;  // machine: probes::key()
  std::uint64_t model_hash = 0;
  std::string mode;
  std::int64_t context = 0, sessions = 0, prompt = 0;
  bool fits = false;
  std::string shortage;  // what is missing where, if it does not fit
  hal::Bytes total_bytes = 0;
  std::vector<PoolUse> pools;
  double step_seconds = 0, prefill_seconds = 0, tokens_per_second = 0;
  std::optional<double> step_error;           // one standard deviation as a share of step_seconds, see cost.h
  std::int64_t step_rows = 0, step_past = 0;  // of the step predicted
  std::int64_t groups = 1;                    // of sessions in flight at once, each with steps of step_rows
  double round_seconds = 0;                   // in which every session gets a token; with one group, step_seconds
  std::optional<double> step_joules;          // none: not all devices have a figure
  std::vector<PowerUsed> powers;              // of these devices
  std::vector<KeptLimit> limits;
  double objective = 0, objective_bound = 0;  // seconds (of a step, a prompt, a round), joules, or shares of pools
  double lower_bound_seconds = 0, gap = 0;    // gap: (objective - bound) / objective
  bool optimal = false;                       // proven for the estimated costs
  std::vector<PlannedLayer> layers;
  std::vector<Move> moves;
  std::vector<More> better_with;              // where asked: of the full pools, the least that is worth it
  std::shared_ptr<const ChainResult> solved;  // for PlanRequest::before; not in the JSON

  std::vector<std::string> devices() const;  // one per unit: its own, whatever of its experts is elsewhere
};

// A device that takes fixed shapes runs steps in pieces of so many rows, or of one.
inline constexpr std::int64_t bucket_rows = 64;

// A plan on one device is preferred to one on several that is better by no more than this share: measurements are not
// that exact. Such a plan is not called optimal; its gap is shown.
inline constexpr double simple_enough = 0.01;

// What a device would take of a unit: the default asks the kernel library with the door's Info, so that plans can be
// made for a machine that is not here.
using ClaimFunction = std::function<hal::Claim(const hal::Info&, const hal::Segment&)>;

// A plan that does not fit the memory there is comes back with fits == false and what it would take. Errors:
// unsupported (strict; a unit that every device declines, with all reasons; energy of devices without a figure; limits
// that no plan keeps, with the least that one could), invalid_argument (pins or limits that contradict each other or
// the mode, no units), not_found (a limit of a pool that is not there), unavailable (no device has been measured).
hal::Result<Plan> make_plan(const probes::Machine& machine, const probes::Profile& profile, const PlanRequest& request,
                            const ClaimFunction& claim = {});

// Every unit placed once, on a device that is there and claims it; memory within its pools and the request's limits
// kept, counted afresh; pins respected; the model and machine those the plan was made for. A plan that says it does not
// fit passes only if it does not.
hal::Status check(const Plan& plan, const probes::Machine& machine, const probes::Profile& profile,
                  const PlanRequest& request, const ClaimFunction& claim = {});

std::string to_json(const Plan& plan);
// io: another schema or a broken file.
hal::Result<Plan> plan_from_json(std::string_view text);
// Of plan_from_json and check().
hal::Result<Plan> load_plan(std::string_view text, const probes::Machine& machine, const probes::Profile& profile,
                            const PlanRequest& request, const ClaimFunction& claim = {});

// A table for people: a line per run of equal layers, memory per pool, the prediction, and why not elsewhere.
std::string explain(const Plan& plan);
// The same as one HTML page that refers to nothing outside itself: units by devices, moves, memory, reasons; then
// tables.
std::string to_html(const Plan& plan);

}  // namespace switchyard::scheduler
