// Where target and draft go, and how many tokens to draft.
#include <algorithm>
#include <set>

#include "scheduler/plan/problem.h"
#include "scheduler/plan/speculation.h"

namespace switchyard::scheduler {
namespace {

using probes::Machine;

hal::Status check(const SpeculationRequest& r) {
  auto wrong = [](const std::string& text) { return hal::Error{hal::Code::invalid_argument, "speculation: " + text}; };
  if (!(r.acceptance >= 0 && r.acceptance <= 1))
    return wrong("acceptance " + std::to_string(r.acceptance) + "; it is a probability, 0 to 1");
  if (!(r.contention >= 1 && r.contention < 1e6))
    return wrong("contention " + std::to_string(r.contention) + "; it stretches times, so it is at least 1");
  if (!(r.more_per_round >= 0 && r.more_per_round < 1e6))
    return wrong(std::to_string(r.more_per_round) + " s more per round; expected 0 or more");
  if (r.most < 0 || r.most > 64)
    return wrong("at most " + std::to_string(r.most) + " tokens drafted; expected 0 to 64");
  if (r.target.sessions != 1 || r.draft.sessions != 1)
    return wrong("it is for one session, asked are " + std::to_string(std::max(r.target.sessions, r.draft.sessions)));
  if (r.target.experts || r.draft.experts) return wrong("experts on two devices are not costed in its steps");
  if (r.target.units.empty() || r.draft.units.empty()) return wrong("of a model without units");
  return hal::ok();
}

// The machine without the memory a plan takes.
Machine rest_of(Machine machine, const Plan& plan) {
  auto take = [&](hal::Bytes& budget, hal::Bytes total, const std::string& name) {
    const hal::Bytes all = budget ? budget : total;
    for (const PoolUse& u : plan.pools)
      if (u.pool == name && all) budget = std::max<hal::Bytes>(1, all - std::min(all, u.bytes));
  };
  for (probes::Pool& pool : machine.pools) take(pool.budget, pool.total, pool.name);
  for (probes::Chip& chip : machine.chips)
    for (probes::Door& door : chip.doors) take(door.budget, door.total, door.info.id);
  return machine;
}

std::vector<std::string> devices_of(const Plan& plan) {
  const auto all = plan.devices();
  const std::set<std::string> once(all.begin(), all.end());
  return {once.begin(), once.end()};
}

// A step of so many rows of one session, all with logits, on a plan's devices.
double step_seconds(CostModel& cost, const PlanRequest& request, const Plan& plan, std::int64_t rows) {
  const probes::Step step{rows, 1, request.context - 1, rows};
  const auto devices = plan.devices();
  double seconds = 0;
  std::string from;
  for (std::size_t u = 0; u < devices.size(); from = devices[u++]) {
    seconds += cost.move(from, devices[u], border_bytes(request, u, step)).seconds;
    const auto unit = cost.unit(devices[u], request.units[u].segment, step);
    seconds += unit ? unit->seconds : never;
  }
  return seconds + cost.move(from, "", border_bytes(request, devices.size(), step)).seconds;
}

class Planner {
 public:
  Planner(const Machine& machine, const probes::Profile& profile, const SpeculationRequest& request,
          const ClaimFunction& claim)
      : machine_(machine), profile_(profile), request_(request), claim_(claim), cost_(profile) {
    for (auto* r : {&request_.target, &request_.draft}) {
      r->mode = Mode::latency;
      r->device.clear();
      r->limits = {};
      r->advise = false;
    }
    for (const Unit& u : request_.target.units) recurrent_ = recurrent_ || u.zeros > 0;
  }

  hal::Result<SpeculationPlan> plan() {
    HAL_TRY(const Plan alone, make_plan(machine_, profile_, request_.target, claim_));
    if (!alone.fits)
      return hal::Error{hal::Code::out_of_memory, "speculation: the target alone does not fit: " + alone.shortage};
    made_.target = request_.target.model;
    made_.draft = request_.draft.model;
    made_.machine = probes::key(machine_);
    made_.acceptance = request_.acceptance;
    made_.contention = request_.contention;
    made_.rollback = request_.rollback;
    made_.recurrent = recurrent_;
    made_.alone_seconds = alone.step_seconds;
    keep_states();
    target_first();
    draft_first();
    choose();
    return std::move(made_);
  }

 private:
  // Beside the sessions' state: one before the round, or one after every row.
  void keep_states() {
    const std::int64_t kept = request_.rollback == Rollback::slots  ? 1
                              : request_.rollback == Rollback::rows ? request_.most
                                                                    : 0;
    for (Unit& u : request_.target.units) u.zeros *= 1 + static_cast<hal::Bytes>(kept);
  }

  static PlanRequest on(PlanRequest request, const std::string& device) {
    request.device = device;
    request.strict = !device.empty();
    return request;
  }

  // Empty where it cannot be; `why` says it.
  std::optional<Plan> placed(const Machine& machine, const PlanRequest& request, std::string& why) const {
    auto plan = make_plan(machine, profile_, request, claim_);
    if (!plan) {
      why = request.model + ": " + plan.error().message;
      why.resize(std::min(why.size(), why.find('\n', why.find('\n') + 1)));  // with the first of the reasons
      if (const auto reason = why.find("\n  "); reason != std::string::npos) why.replace(reason, 3, " ");
    } else if (!plan->fits) {
      why = request.model + " does not fit: " + plan->shortage;
    } else {
      return std::move(*plan);
    }
    return std::nullopt;
  }

  void target_first() {
    std::string why;
    const auto target = placed(machine_, request_.target, why);
    if (!target) {
      made_.placements.push_back({true, {}, {}, why});
      return;
    }
    const Machine rest = rest_of(machine_, *target);
    for (const probes::Door* door : machine_.doors()) {
      SpeculationPlacement& p = made_.placements.emplace_back();
      p.target = devices_of(*target);
      p.draft = {door->info.id};
      if (const auto draft = placed(rest, on(request_.draft, door->info.id), p.impossible)) fill(p, *target, *draft);
    }
    const auto spread = placed(rest, request_.draft, why);
    if (!spread || devices_of(*spread).size() < 2) return;
    SpeculationPlacement& p = made_.placements.emplace_back();
    p.target = devices_of(*target);
    p.draft = devices_of(*spread);
    fill(p, *target, *spread);
  }

  void draft_first() {
    for (const probes::Door* door : machine_.doors()) {
      SpeculationPlacement p;
      p.target_first = false;
      p.draft = {door->info.id};
      const auto draft = placed(machine_, on(request_.draft, door->info.id), p.impossible);
      if (!draft) continue;  // nor did it fit beside the target
      if (const auto target = placed(rest_of(machine_, *draft), request_.target, p.impossible)) {
        p.target = devices_of(*target);
        fill(p, *target, *draft);
        const auto same = [&](const SpeculationPlacement& q) {
          return q.draft == p.draft && q.target == p.target && q.target_seconds == p.target_seconds;
        };
        if (std::any_of(made_.placements.begin(), made_.placements.end(), same)) continue;
      }
      made_.placements.push_back(std::move(p));
    }
  }

  void fill(SpeculationPlacement& p, const Plan& target, const Plan& draft) {
    std::set<const probes::Chip*> chips;
    for (const std::string& id : p.target) chips.insert(machine_.chip_of(id));
    p.apart = std::none_of(p.draft.begin(), p.draft.end(),
                           [&](const std::string& id) { return chips.count(machine_.chip_of(id)) != 0; });
    p.draft_seconds = draft.step_seconds;
    for (std::int64_t rows = 1; rows <= request_.most + 1; ++rows)
      p.target_seconds.push_back(step_seconds(cost_, request_.target, target, rows));
    if (recurrent_ && request_.rollback == Rollback::host)
      for (std::size_t u = 0; u < target.layers.size(); ++u) {
        const auto bytes = static_cast<double>(request_.target.units[u].zeros);
        if (bytes == 0) continue;
        p.save_seconds += cost_.move(target.layers[u].device, "", bytes).seconds;
        p.restore_seconds += cost_.move("", target.layers[u].device, bytes).seconds;
      }
    for (const DraftChoice& c : choices(p))
      if (c.speedup > p.best.speedup || p.best.seconds == 0) p.best = c;
  }

  std::vector<DraftChoice> choices(const SpeculationPlacement& p) const {
    RoundCosts costs;
    costs.target = [&](std::int64_t rows) { return p.target_seconds[static_cast<std::size_t>(rows - 1)]; };
    costs.draft = p.draft_seconds;
    costs.save = p.save_seconds + request_.more_per_round;
    costs.restore = p.restore_seconds;
    costs.replay = recurrent_ && request_.rollback != Rollback::rows;
    costs.contention = request_.contention;
    std::vector<DraftChoice> all;
    for (std::int64_t k = 0; k <= request_.most; ++k)
      for (bool overlapped : {false, true}) {
        if (overlapped && (k == 0 || !p.apart)) continue;
        DraftChoice c{k, overlapped, expected_tokens(request_.acceptance, k), 0, 0};
        c.seconds = (overlapped ? overlapped_seconds : sequential_seconds)(costs, request_.acceptance, k);
        c.speedup = c.tokens * made_.alone_seconds / c.seconds;
        all.push_back(c);
      }
    return all;
  }

  void choose() {
    auto& all = made_.placements;
    made_.chosen = all.size();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].impossible.empty() &&
          (made_.chosen == all.size() || all[i].best.speedup > all[made_.chosen].best.speedup))
        made_.chosen = i;
    if (made_.chosen == all.size()) return;
    made_.by_drafted = choices(all[made_.chosen]);
    made_.on = all[made_.chosen].best.drafted > 0 && all[made_.chosen].best.speedup >= speculation_pays;
  }

  const Machine& machine_;
  const probes::Profile& profile_;
  SpeculationRequest request_;
  const ClaimFunction& claim_;
  CostModel cost_;
  bool recurrent_ = false;
  SpeculationPlan made_;
};

}  // namespace

hal::Result<SpeculationPlan> make_speculation_plan(const Machine& machine, const probes::Profile& profile,
                                                   const SpeculationRequest& request, const ClaimFunction& claim) {
  HAL_CHECK(check(request));
  return Planner(machine, profile, request, claim).plan();
}

}  // namespace switchyard::scheduler
