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

PairMemory::PairMemory(const PairRequest& request, const Problem& problem) : request_(request), problem_(problem) {
  const std::size_t devices = problem.devices.size();
  for (std::size_t d = 0; d < devices; ++d) fixed_.push_back(problem.takes(d, problem.fixed[d]));
  std::vector<std::vector<std::size_t>> groups;  // copies of one constant on devices that all read each other's
  for (std::size_t c = 0; c < problem.copies.size(); ++c) {
    const SharedCopy& copy = problem.copies[c];
    bits_.push_back(std::uint64_t{1} << fixed_.size());
    fixed_.push_back(problem.takes(copy.device, copy.bytes));
    auto joins = [&](const std::vector<std::size_t>& group) {
      return std::all_of(group.begin(), group.end(), [&](std::size_t other) {
        return problem.copies[other].key == copy.key && one_copy(problem.copies[other].device, copy.device);
      });
    };
    const auto group = std::find_if(groups.begin(), groups.end(), joins);
    if (group == groups.end())
      groups.push_back({c});
    else
      group->push_back(c);
  }
  for (const auto& group : groups) {
    if (group.size() < 2 || fixed_.size() >= 64) continue;  // beyond the solver's bits each keeps its own
    hal::Bytes common = problem.copies[group.front()].bytes;
    for (std::size_t c : group) common = std::min(common, problem.copies[c].bytes);
    const std::size_t pool = problem.rows_of[problem.copies[group.front()].device].front();  // of all of them
    const std::uint64_t bit = std::uint64_t{1} << fixed_.size();
    for (std::size_t c : group) {
      fixed_[devices + c][pool] -= static_cast<std::int64_t>(common);
      bits_[c] |= bit;
    }
    fixed_.emplace_back(problem.rows.size(), 0)[pool] = static_cast<std::int64_t>(common);
  }
}

bool PairMemory::one_copy(std::size_t one, std::size_t other) const {
  const std::string &a = problem_.devices[one]->info.id, &b = problem_.devices[other]->info.id;
  return std::any_of(request_.one_copy.begin(), request_.one_copy.end(), [&](const auto& pair) {
    return (pair.first == a && pair.second == b) || (pair.first == b && pair.second == a);
  });
}

std::vector<std::int64_t> PairMemory::takes(std::size_t unit, std::size_t prefill, std::size_t decode) const {
  const Place &a = problem_.places[unit][prefill], &b = problem_.places[unit][decode];
  std::vector<std::int64_t> takes = problem_.takes(decode, b.bytes);
  if (prefill == decode) return takes;
  for (auto r : problem_.rows_of[prefill]) takes[r] += static_cast<std::int64_t>(a.bytes);
  if (one_copy(prefill, decode)) {
    const Unit& u = request_.plan.units[unit];
    const hal::Bytes state = session_bytes(request_.plan, u);
    takes[problem_.rows_of[decode].front()] -= static_cast<std::int64_t>(std::min(a.bytes, b.bytes) - state);
  }
  return takes;
}

std::uint64_t PairMemory::used(std::size_t unit, std::size_t prefill, std::size_t decode) const {
  std::uint64_t used = 0;
  for (std::size_t d : {prefill, decode}) {
    used |= std::uint64_t{1} << d;
    for (std::size_t copy : problem_.places[unit][d].copies) used |= bits_[copy];
  }
  return used;
}

void PairMemory::add_fixed(std::uint64_t used, std::vector<std::int64_t>& taken) const {
  for (std::size_t bit = 0; bit < fixed_.size(); ++bit)
    for (std::size_t r = 0; r < taken.size() && used >> bit & 1; ++r) taken[r] += fixed_[bit][r];
}

}  // namespace switchyard::scheduler
