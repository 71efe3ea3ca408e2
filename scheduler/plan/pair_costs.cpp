#include "scheduler/plan/pair_costs.h"

#include <algorithm>

#include "probes/measure/step.h"

namespace switchyard::scheduler {

using probes::Step;

namespace {

void add(Estimate& sum, const Estimate& e, double times) {
  if (e.how > sum.how) sum.detail = e.detail;
  sum.how = std::max(sum.how, e.how);
  sum.seconds += times * e.seconds;
}

}  // namespace

PairCosts::PairCosts(CostModel& cost, const PairRequest& request, const Problem& problem)
    : cost_(cost), request_(request), problem_(problem) {
  std::map<std::tuple<std::string, hal::Bytes, hal::Bytes>, std::size_t> first;
  const auto& units = request.plan.units;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const auto [it, fresh] = first.try_emplace({probes::unit_key(units[u].segment), units[u].state, units[u].zeros}, u);
    same_as_.push_back(it->second);
    if (fresh) alike_.push_back({u, 0});
    for (auto& [unit, count] : alike_)
      if (unit == it->second) count += 1;
  }
}

std::string PairCosts::id(std::int64_t device) const {
  return device < 0 ? std::string() : problem_.devices[static_cast<std::size_t>(device)]->info.id;
}

Estimate PairCosts::at(std::size_t unit, std::size_t device, const Step& asked) {
  const std::size_t first = same_as_[unit];
  const hal::Segment& segment = request_.plan.units[first].segment;
  const Step step = probes::relevant(segment, asked);
  const auto [it, fresh] = known_.try_emplace({first, device, step.rows, step.past});
  if (fresh) {
    auto e = cost_.unit(id(static_cast<std::int64_t>(device)), segment, step);
    it->second = e ? *e : Estimate{never, How::roofline, e.error().message};
  }
  return it->second;
}

Estimate PairCosts::prefill(std::size_t unit, std::size_t device, std::int64_t prompt) {
  const std::int64_t chunk = request_.plan.chunk, full = prompt / chunk, rest = prompt % chunk;
  Estimate sum{0, How::measured, ""};
  if (full) add(sum, at(unit, device, {chunk, 1, chunk * (full - 1) / 2, 1}), static_cast<double>(full));
  if (rest) add(sum, at(unit, device, {rest, 1, full * chunk, 1}), 1);
  return sum;
}

Estimate PairCosts::decode(std::size_t unit, std::size_t device, std::int64_t prompt) {
  return at(unit, device, {1, 1, prompt + (request_.output - 1) / 2, 1});
}

hal::Bytes PairCosts::state_after(std::size_t unit, std::int64_t tokens) const {
  const Unit& u = request_.plan.units[unit];
  const double share = static_cast<double>(tokens) / static_cast<double>(request_.plan.context);
  return u.zeros + static_cast<hal::Bytes>(static_cast<double>(u.state - std::min(u.state, u.zeros)) * share);
}

Estimate PairCosts::handoff(std::size_t unit, std::size_t from, std::size_t to, std::int64_t prompt) const {
  const hal::Bytes bytes = state_after(unit, prompt);
  if (from == to || bytes == 0) return {0, How::measured, ""};
  return cost_.move(id(static_cast<std::int64_t>(from)), id(static_cast<std::int64_t>(to)), static_cast<double>(bytes));
}

Estimate PairCosts::prefill_move(std::size_t border, std::int64_t from, std::int64_t to, std::int64_t prompt) const {
  const std::int64_t chunk = request_.plan.chunk, full = prompt / chunk, rest = prompt % chunk;
  Estimate sum{0, How::measured, ""};
  auto rows = [&](std::int64_t n, double times) {
    add(sum, cost_.move(id(from), id(to), border_bytes(request_.plan, border, {n, 1, 0, 1})), times);
  };
  if (full) rows(chunk, static_cast<double>(full));
  if (rest) rows(rest, 1);
  return sum;
}

Estimate PairCosts::decode_move(std::size_t border, std::int64_t from, std::int64_t to) const {
  return cost_.move(id(from), id(to), border_bytes(request_.plan, border, {1, 1, 0, 1}));
}

std::vector<std::int64_t> pair_takes(const PairRequest& request, const Problem& problem, std::size_t unit,
                                     std::size_t prefill, std::size_t decode) {
  const Unit& u = request.plan.units[unit];
  const Place &a = problem.places[unit][prefill], &b = problem.places[unit][decode];
  std::vector<std::int64_t> takes(problem.rows.size(), 0);
  for (auto r : problem.rows_of[decode]) takes[r] += static_cast<std::int64_t>(b.bytes);
  if (prefill == decode) return takes;
  for (auto r : problem.rows_of[prefill]) takes[r] += static_cast<std::int64_t>(a.bytes);
  const std::string &from = problem.devices[prefill]->info.id, &to = problem.devices[decode]->info.id;
  for (const auto& [one, other] : request.one_copy)
    if ((one == from && other == to) || (one == to && other == from)) {
      const hal::Bytes state = u.state * static_cast<hal::Bytes>(request.plan.sessions) + u.zeros;
      takes[problem.rows_of[decode].front()] -= static_cast<std::int64_t>(std::min(a.bytes, b.bytes) - state);
      break;
    }
  return takes;
}

std::string shortage_of(const Problem& problem, const std::vector<std::int64_t>& taken) {
  std::string text;
  for (std::size_t r = 0; r < problem.rows.size(); ++r)
    if (const auto bytes = static_cast<hal::Bytes>(taken[r]); bytes > problem.rows[r].capacity)
      text += (text.empty() ? "" : "; ") + problem.rows[r].name + " would need " + gigabytes(bytes) + " and has " +
              gigabytes(problem.rows[r].capacity);
  return text;
}

}  // namespace switchyard::scheduler
