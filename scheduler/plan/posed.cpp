// A problem as a chain for the solver, and what a placement takes.
#include <algorithm>
#include <map>

#include "scheduler/plan/limits.h"
#include "scheduler/plan/text.h"

namespace switchyard::scheduler {

using probes::Step;

double border_bytes(const PlanRequest& request, std::size_t unit, const Step& step) {
  const hal::Segment& s = request.units[unit ? unit - 1 : 0].segment;
  auto dims = std::vector<std::int64_t>{step.rows, step.sequences, step.logits};
  double bytes = 0;
  for (auto v : unit ? s.outputs : s.inputs) bytes += static_cast<double>(hal::tensor_bytes(s.values[v], dims));
  return bytes;
}

hal::Bytes session_bytes(const PlanRequest& request, const Unit& unit) {
  return (unit.state + unit.kept) * static_cast<hal::Bytes>(request.sessions) + unit.zeros + unit.kept_once;
}

std::vector<std::int64_t> Problem::takes(std::size_t device, hal::Bytes bytes) const {
  std::vector<std::int64_t> of(rows.size(), 0);
  for (auto r : rows_of[device]) of[r] = static_cast<std::int64_t>(bytes);
  return of;
}

bool Problem::allows(std::size_t unit, std::size_t device) const {
  return places[unit][device].possible &&
         (may_fall_back || !elsewhere(unit, device) || !places[unit][static_cast<std::size_t>(pinned[unit])].possible);
}

bool Problem::elsewhere(std::size_t unit, std::size_t device) const {
  return pinned[unit] >= 0 && pinned[unit] != static_cast<std::int64_t>(device);
}

bool Problem::counts(const std::string& name, std::size_t device) const {
  const auto& mine = rows_of[device];
  return name.empty() || devices[device]->info.id == name ||
         std::any_of(mine.begin(), mine.end(), [&](std::size_t r) { return rows[r].name == name; });
}

std::vector<PoolUse> pools_of(const Problem& p, const std::vector<std::int64_t>& taken) {
  std::vector<PoolUse> pools;
  for (std::size_t r = 0; r < p.rows.size(); ++r)
    pools.push_back({p.rows[r].name, static_cast<hal::Bytes>(taken[r]), p.rows[r].capacity, p.rows[r].within});
  return pools;
}

std::string shortage_of(const Problem& p, const std::vector<std::int64_t>& taken) {
  std::string text;
  for (const PoolUse& u : pools_of(p, taken))
    if (u.bytes > u.capacity)
      text += (text.empty() ? "" : "; ") + u.pool + " would need " + gigabytes(u.bytes) + " and has " +
              gigabytes(u.capacity);
  return text;
}

Estimate Problem::move(CostModel& cost, const PlanRequest& request, std::size_t unit, std::int64_t from,
                       std::int64_t to, bool prefill) const {
  Step s = step;
  if (prefill) s = {chunk, 1, 0, 1};
  auto id = [&](std::int64_t d) { return d < 0 ? std::string() : devices[static_cast<std::size_t>(d)]->info.id; };
  Estimate e = cost.move(id(from), id(to), border_bytes(request, unit, s));
  if (prefill) e.seconds *= static_cast<double>(chunks);
  return e;
}

std::optional<std::size_t> Posed::option_on(std::size_t unit, std::size_t device) const {
  const auto& on = devices[unit];
  const auto end = on.begin() + static_cast<std::ptrdiff_t>(whole[unit]), found = std::find(on.begin(), end, device);
  if (found == end) return std::nullopt;
  return static_cast<std::size_t>(found - on.begin());
}

namespace {
double watts_of(const std::optional<probes::Power>& power) { return power ? power->watts : 0; }
}  // namespace

double Problem::of_unit(Quantity quantity, std::size_t unit, std::size_t device) const {
  const Place& place = places[unit][device];
  switch (quantity) {
    case Quantity::step: return place.decode.seconds;
    case Quantity::prompt: return place.prefill.seconds;
    case Quantity::energy: return place.decode.seconds * (watts_of(rest) + watts_of(power[device]));
    case Quantity::memory:
    case Quantity::pool: return static_cast<double>(place.bytes);
    case Quantity::elsewhere: return elsewhere(unit, device) ? 1 : 0;
    case Quantity::elsewhere_seconds: return elsewhere(unit, device) ? place.decode.seconds : 0;
  }
  return 0;
}

double Problem::of_experts(Quantity quantity, const ExpertOption& o, const std::string& name) const {
  switch (quantity) {
    case Quantity::step: return o.decode.seconds;
    case Quantity::prompt: return o.prefill.seconds;
    case Quantity::energy:
      return o.decode.seconds * (watts_of(rest) + watts_of(power[o.own]) + watts_of(power[o.other]));
    case Quantity::memory:
    case Quantity::pool:
      return static_cast<double>((counts(name, o.own) ? o.bytes : 0) + (counts(name, o.other) ? o.other_bytes : 0));
    case Quantity::elsewhere:
    case Quantity::elsewhere_seconds: return 0;  // no pinned unit has such options
  }
  return 0;
}

double Problem::of_move(CostModel& cost, const PlanRequest& request, Quantity quantity, std::size_t unit,
                        std::int64_t from, std::int64_t to) const {
  switch (quantity) {
    case Quantity::step:
    case Quantity::prompt: return move(cost, request, unit, from, to, quantity == Quantity::prompt).seconds;
    case Quantity::energy: {  // both ends are at work
      double watts = watts_of(rest);
      for (std::int64_t end : {from, to})
        if (end >= 0) watts += watts_of(power[static_cast<std::size_t>(end)]);
      return watts * move(cost, request, unit, from, to, false).seconds;
    }
    default: return 0;
  }
}

Posed Problem::chain(CostModel& cost, const PlanRequest& request, Mode mode, const Limits& limits) const {
  Posed posed;
  Chain& c = posed.chain;
  const bool memory = mode == Mode::memory;
  const double scale = memory ? 1e-9 : 1;  // in the memory mode time only breaks ties
  const Quantity objective = mode == Mode::ttft     ? Quantity::prompt
                             : mode == Mode::energy ? Quantity::energy
                                                    : Quantity::step;
  c.places = devices.size();
  c.devices = devices.size() + copies.size();
  for (const Row& row : rows) c.limit.push_back(static_cast<std::int64_t>(row.capacity));
  for (std::size_t d = 0; d < devices.size(); ++d) c.fixed.push_back(takes(d, fixed[d]));
  for (const SharedCopy& copy : copies) c.fixed.push_back(takes(copy.device, copy.bytes));
  for (std::size_t u = 0; u < places.size(); ++u) {
    c.units.emplace_back();
    posed.devices.emplace_back();
    for (std::size_t d = 0; d < devices.size(); ++d) {
      if (!allows(u, d)) continue;
      const Place& place = places[u][d];
      hal::Bytes bytes = place.bytes;  // as an objective, a copy counts for every user
      std::uint64_t used = std::uint64_t{1} << d;
      for (std::size_t copy : place.copies) {
        bytes += copies[copy].bytes;
        used |= std::uint64_t{1} << (devices.size() + copy);
      }
      const double share =
          static_cast<double>(bytes) / std::max(1.0, static_cast<double>(rows[rows_of[d].front()].capacity));
      c.units[u].push_back({(memory ? share : 0) + scale * of_unit(objective, u, d), d, used, takes(d, place.bytes)});
      posed.devices[u].push_back(d);
    }
    posed.whole.push_back(posed.devices[u].size());
    if (!experts.empty()) add_expert_options(*this, u, mode, objective, scale, posed);
  }
  std::map<std::pair<double, double>, std::size_t> tables;  // by the bytes that cross in a step and in a prompt's
  for (std::size_t u = 0; u <= places.size(); ++u) {
    const auto [table, fresh] = tables.try_emplace(
        {border_bytes(request, u, step), border_bytes(request, u, Step{chunk, 1, 0, 1})}, c.moves.size());
    c.border.push_back(table->second);
    if (!fresh) continue;
    auto& costs = c.moves.emplace_back().cost;
    for (std::size_t from = 0; from <= c.places; ++from)
      for (std::size_t to = 0; to <= c.places; ++to) {
        auto device = [&](std::size_t k) { return k == c.host() ? std::int64_t{-1} : static_cast<std::int64_t>(k); };
        costs.push_back(scale * of_move(cost, request, objective, u, device(from), device(to)));
      }
  }
  add_limits(limits, cost, *this, request, posed);
  return posed;
}

}  // namespace switchyard::scheduler
