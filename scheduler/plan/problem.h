// A request as numbers: what every unit costs and takes on every device, and why some are refused. Internal to plan/.
#pragma once
#include <map>

#include "scheduler/cost/cost.h"
#include "scheduler/plan/expert_options.h"
#include "scheduler/plan/plan.h"
#include "scheduler/solve/chain.h"

namespace switchyard::scheduler {

struct Place {  // of a unit on a device
  bool possible = false;
  bool fixed_shapes = false;  // it runs one sequence at a time
  std::vector<Refusal> refusals;
  Estimate decode, prefill;           // of one step; of the whole prompt
  hal::Bytes bytes = 0, scratch = 0;  // bytes: without those of shared copies
  std::vector<std::size_t> copies;    // of Problem::copies
};

// A constant of several units, of which a device keeps one copy.
struct SharedCopy {
  std::size_t device = 0;
  hal::Bytes bytes = 0;
  std::uint64_t key = 0;  // of the constant
};

struct Row {  // of the memory ledger
  std::string name, within;
  hal::Bytes capacity = 0;
};

// What adds up over a placement. pool: memory of one pool or device; elsewhere: units not where they were asked to run.
enum class Quantity : std::uint8_t { step, prompt, energy, memory, pool, elsewhere, elsewhere_seconds };

struct LimitRow {
  Quantity of = Quantity::step;
  std::string name;                  // of a pool or device
  double limit = 0;                  // in seconds, joules, bytes or units
  std::optional<std::size_t> row{};  // of the chain; none: a round, which several groups have for an objective
};

// A problem as a chain, and the device each option of each unit stands for.
struct Posed {
  Chain chain;
  std::vector<std::vector<std::size_t>> devices;  // [unit][option]
  std::vector<std::size_t> whole;                 // [unit]: options of all of it; then those of Problem::experts
  std::vector<LimitRow> limits;                   // beyond the memory rows

  // The option of all of the unit on a device; none: refused, or pinned elsewhere.
  std::optional<std::size_t> option_on(std::size_t unit, std::size_t device) const;
};

// What devices would take of a request's units: each asked once.
class Claims {
 public:
  explicit Claims(const ClaimFunction& claim);
  const hal::Claim& of(const hal::Info& device, const PlanRequest& request, std::size_t unit);
  hal::Claim of_part(const hal::Info& device, const hal::Segment& part) const;  // of no unit: asked every time

 private:
  ClaimFunction ask_;
  std::map<std::pair<std::string, std::size_t>, hal::Claim> known_;  // by device and unit
};

struct Problem {
  std::vector<const probes::Door*> devices;
  std::vector<Row> rows;
  std::vector<std::vector<std::size_t>> rows_of;  // per device: the pools its bytes count in
  std::vector<std::vector<Place>> places;         // [unit][device]
  std::vector<std::int64_t> pinned;               // per unit: a device, or -1
  std::vector<hal::Bytes> fixed;                  // per device, once used
  std::vector<SharedCopy> copies;
  std::vector<std::vector<ExpertOption>> experts;   // [unit]; empty: no unit has any
  std::vector<std::optional<probes::Power>> power;  // per device
  std::optional<probes::Power> rest;                // of the machine
  bool may_fall_back = false;                       // pins are wishes, and limits say how far
  std::int64_t groups = 1;                          // of sessions in flight at once, with a step of each
  probes::Step step;
  std::int64_t chunks = 0, chunk = 0;

  bool allows(std::size_t unit, std::size_t device) const;  // it takes it, and no pin that can be kept says otherwise
  bool elsewhere(std::size_t unit, std::size_t device) const;      // pinned to another device
  bool counts(const std::string& name, std::size_t device) const;  // memory taken there is of this pool or device
  // Of a unit on a device, without what is shared or taken once; of hidden rows at the border before a unit. A device
  // < 0 is the host.
  double of_unit(Quantity quantity, std::size_t unit, std::size_t device) const;
  // The same of a unit with its experts on two devices; memory: of this pool or device. Both are taken to be at work
  // all the time.
  double of_experts(Quantity quantity, const ExpertOption& option, const std::string& name = "") const;
  double of_move(CostModel& cost, const PlanRequest& request, Quantity quantity, std::size_t unit, std::int64_t from,
                 std::int64_t to) const;
  std::vector<std::int64_t> takes(std::size_t device, hal::Bytes bytes) const;  // of every row
  Estimate move(CostModel& cost, const PlanRequest& request, std::size_t unit, std::int64_t from, std::int64_t to,
                bool prefill) const;
  const ExpertOption* experts_of(const Posed& posed, std::size_t unit, std::size_t option) const;  // null: all of it
  Posed chain(CostModel& cost, const PlanRequest& request, Mode mode, const Limits& limits = {}) const;
};

// A placement of which steps of several groups are in flight at once: every device takes its share of each group's
// step, and a group's next step begins when its last one has ended.
struct Rounds {
  ChainResult solved;  // cost: seconds of a round, in which every session gets a token; bound as a ChainResult's
  std::vector<std::vector<double>> slower;  // [unit][option]: for the other devices that work at the same time
};
// The placement that makes the shortest round for the problem's groups: a device whose share of a step is s is busy for
// groups x s, and no round is shorter than that of any device, nor than a step.
Rounds shortest_round(CostModel& cost, const Problem& problem, const Posed& posed, const PlanRequest& request);
// With the devices slowed down by those that work beside them: seconds of a round of any placement.
double round_beside_others(CostModel& cost, const Problem& problem, const Posed& posed, const PlanRequest& request,
                           const Placement& x);
// Seconds of a round of a placement as the pipeline runs it, device by device in its order: a little more than what the
// busiest takes. slower: as in Rounds.
double round_of(const Chain& chain, const Placement& x, const std::vector<std::vector<double>>& slower,
                std::int64_t groups);

// Of all sessions: their state at the context and what they keep of it.
hal::Bytes session_bytes(const PlanRequest& request, const Unit& unit);

// Bytes of hidden rows (or tokens, or logits) that cross the border before `unit`; unit == units: after the last.
double border_bytes(const PlanRequest& request, std::size_t unit, const probes::Step& step);

// groups: of as many sessions each; the request's own number is not looked at.
hal::Result<Problem> pose(const probes::Machine& machine, CostModel& cost, Claims& claims, const PlanRequest& request,
                          std::int64_t groups = 1);

// The pools and limits of a placement, from what it takes of every row; what is missing where, empty: it fits.
std::vector<PoolUse> pools_of(const Problem& problem, const std::vector<std::int64_t>& taken);
std::string shortage_of(const Problem& problem, const std::vector<std::int64_t>& taken);

// As check(), with what is known already of costs and claims.
hal::Status judge(const Plan& plan, const probes::Machine& machine, CostModel& cost, Claims& claims,
                  const PlanRequest& request);

}  // namespace switchyard::scheduler
