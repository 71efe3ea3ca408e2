// From which prompt length a whole-model split pays.
#include <algorithm>

#include "scheduler/plan/pair_costs.h"

namespace switchyard::scheduler {

Pays where_it_pays(const std::function<double(std::int64_t)>& gain, const std::vector<std::int64_t>& grid) {
  Pays pays;
  bool rises = true, falls = true;
  std::vector<double> at;
  for (auto n : grid) {
    at.push_back(gain(n));
    if (at.size() < 2) continue;
    rises = rises && at[at.size() - 1] >= at[at.size() - 2];
    falls = falls && at[at.size() - 1] <= at[at.size() - 2];
  }
  pays.monotone = rises || falls;
  // The last n of [inside, outside) (or first, downwards) on inside's side of the change.
  auto last_inside = [&](std::int64_t inside, std::int64_t outside) {
    while (std::abs(outside - inside) > 1) {
      const std::int64_t middle = inside + (outside - inside) / 2;
      (gain(middle) > 0 ? inside : outside) = middle;
    }
    return inside;
  };
  std::size_t to = grid.size();
  while (to > 0 && !(at[to - 1] > 0)) --to;
  if (to == 0) return pays;
  std::size_t from = --to;
  while (from > 0 && at[from - 1] > 0) --from;
  pays.from = from > 0 ? last_inside(grid[from], grid[from - 1]) : grid[from];
  pays.to = to + 1 < grid.size() ? last_inside(grid[to], grid[to + 1]) : grid[to];
  return pays;
}

namespace {

// The ends of every prefill step, where its cost jumps, and points within it, where its limit may change.
std::vector<std::int64_t> grid_of(std::int64_t chunk, std::int64_t longest) {
  std::vector<std::int64_t> grid;
  const std::int64_t apart = std::max({std::int64_t{1}, chunk / 16, longest / 4096});
  for (std::int64_t first = 1; first <= longest; first += chunk) {
    const std::int64_t last = std::min(longest, first + chunk - 1);
    for (std::int64_t n = first; n < last; n += apart) grid.push_back(n);
    grid.push_back(last);
  }
  return grid;
}

// Whole-model times on one device.
class Whole {
 public:
  Whole(const PairRequest& request, const Problem& problem, PairCosts& costs)
      : request_(request), problem_(problem), costs_(costs) {}

  double prefill(std::size_t device, std::int64_t n) {
    double seconds = 0;
    for (const auto& [unit, count] : costs_.alike()) seconds += count * costs_.prefill(unit, device, n).seconds;
    const auto d = static_cast<std::int64_t>(device);
    return seconds + costs_.prefill_move(0, -1, d, n).seconds +
           costs_.prefill_move(problem_.places.size(), d, -1, n).seconds;
  }
  double decode(std::size_t device, std::int64_t n) {
    double seconds = 0;
    for (const auto& [unit, count] : costs_.alike()) seconds += count * costs_.decode(unit, device, n).seconds;
    const auto d = static_cast<std::int64_t>(device);
    seconds += costs_.decode_move(0, -1, d).seconds + costs_.decode_move(problem_.places.size(), d, -1).seconds;
    return static_cast<double>(request_.output) * seconds;
  }
  double handoff(std::size_t from, std::size_t to, std::int64_t n) const {
    double seconds = 0;
    for (const auto& [unit, count] : costs_.alike()) seconds += count * costs_.handoff(unit, from, to, n).seconds;
    return seconds;
  }

 private:
  const PairRequest& request_;
  const Problem& problem_;
  PairCosts& costs_;
};

// Of a unit the device refuses; empty: it takes the whole model.
std::string refusal(const PairRequest& request, const Problem& p, std::size_t device) {
  for (std::size_t u = 0; u < p.places.size(); ++u)
    if (const Place& place = p.places[u][device]; !place.possible)
      return p.devices[device]->info.id + " refuses " + request.plan.units[u].name + " (" +
             place.refusals.front().code + ")";
  return "";
}

std::string whole_shortage(const Problem& p, const PairMemory& memory, std::size_t a, std::size_t b) {
  std::vector<std::int64_t> taken(p.rows.size(), 0);
  std::uint64_t used = 0;
  for (std::size_t u = 0; u < p.places.size(); ++u) {
    used |= memory.used(u, a, b);
    const auto takes = memory.takes(u, a, b);
    for (std::size_t r = 0; r < taken.size(); ++r) taken[r] += takes[r];
  }
  memory.add_fixed(used, taken);
  return shortage_of(p, taken);
}

}  // namespace

std::vector<BreakEven> break_evens(const PairRequest& request, const Problem& p, PairCosts& costs,
                                   const PairMemory& memory, std::int64_t longest) {
  Whole whole(request, p, costs);
  const auto grid = grid_of(request.plan.chunk, longest);
  std::vector<BreakEven> all;
  for (std::size_t a = 0; a < p.devices.size(); ++a)
    for (std::size_t b = 0; b < p.devices.size(); ++b) {
      if (a == b) continue;
      BreakEven& e = all.emplace_back();
      e.prefill = p.devices[a]->info.id;
      e.decode = p.devices[b]->info.id;
      for (std::size_t d : {a, b})
        if (e.impossible.empty()) e.impossible = refusal(request, p, d);
      if (e.impossible.empty()) e.impossible = whole_shortage(p, memory, a, b);
      if (!e.impossible.empty()) continue;
      auto of_prompt = [&](std::int64_t n) {  // less what the copy takes
        return whole.prefill(b, n) - whole.prefill(a, n) - whole.handoff(a, b, n);
      };
      auto of_output = [&](std::int64_t n) { return whole.decode(a, n) - whole.decode(b, n) - whole.handoff(a, b, n); };
      e.over_decode = where_it_pays(of_prompt, grid);
      e.over_prefill = where_it_pays(of_output, grid);
      e.over_both = where_it_pays([&](std::int64_t n) { return std::min(of_prompt(n), of_output(n)); }, grid);
    }
  return all;
}

}  // namespace switchyard::scheduler
