#include "scheduler/solve/prices.h"

#include <algorithm>
#include <cmath>

#include "scheduler/solve/cuts.h"
#include "scheduler/solve/master.h"

namespace switchyard::scheduler {
namespace {

constexpr double settled = 2e-5;  // a bound this near to what prices can prove is not raised further

double scale(double limit) { return std::max(1.0, std::abs(limit)); }

}  // namespace

void Priced::add(Cut cut) {
  cuts.push_back(std::make_shared<const Cut>(std::move(cut)));
  price.push_back(0);
}

std::vector<double> Priced::share(const Flat& f) const {
  std::vector<double> share(f.options(), 0);
  for (std::size_t i = 0; i < paths.size(); ++i)
    for (auto o : paths[i]->options) share[o] += weight[i];
  return share;
}

std::vector<std::size_t> Priced::rounded(const Flat& f, std::size_t turn) const {
  std::vector<std::size_t> x(f.units);
  double until = 0;
  std::size_t u = 0;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const std::size_t at = (i + turn) % paths.size();
    until += weight[at] * static_cast<double>(f.units);
    for (; u < f.units && (static_cast<double>(u) + 0.5 < until || i + 1 == paths.size()); ++u)
      x[u] = paths[at]->options[u];
  }
  return x;
}

// Per row and cut: what a path takes beyond the limit, as a share of it.
void Pricer::overuse(const Scope& s, const Path& path, std::vector<double>& over, Effort& effort) const {
  f_.take(path.options, over);
  over.resize(s.limit.size(), 0);
  for (std::size_t c = 0; c < s.cuts.size(); ++c)
    for (auto o : path.options) over[f_.rows + c] += s.cuts[c]->takes[o];
  for (std::size_t r = 0; r < over.size(); ++r) over[r] = (over[r] - s.limit[r]) / scale(s.limit[r]);
  effort.done += static_cast<double>(f_.units * (2 + over.size())) / 4;
}

// Prices give a path, paths a mixture, and what would make it cheaper the next prices (Dantzig and Wolfe 1960).
bool Pricer::climb(const Scope& s, Priced& known, int rounds, Effort& effort) {
  const std::size_t rows = s.limit.size();
  std::vector<double> over, trial = known.price;
  std::vector<std::shared_ptr<const Path>> paths;
  std::optional<Master> master;
  auto add = [&](std::shared_ptr<const Path> path) {
    overuse(s, *path, over, effort);
    master->add(path->cost, over);
    paths.push_back(std::move(path));
  };
  double best = -never, mixed = 0;  // mixed: how much of the best prices is in the next to try
  for (int round = 0; round < rounds && (effort.left() || round < 5); ++round) {
    const double value = relaxed_.solve(s, trial, effort);
    if (value > 1.001 * f_.dearest) {  // more than any placement costs: none fits
      known.bound = never;
      return false;
    }
    mixed = value < best ? 0.8 * mixed : 0.6;
    if (value > best) best = value, known.price = trial;
    known.bound = std::max(known.bound, value);
    search_.offer(relaxed_.path());
    if (known.bound >= search_.best_cost * (1 - same)) return false;
    if (!master) master.emplace(rows, 2 * std::abs(value) + 1e-9);
    add(std::make_shared<Path>(Path{relaxed_.path(), relaxed_.cost()}));
    for (std::size_t i = 0; i < known.paths.size() && round == 0; ++i)
      if (std::none_of(known.paths[i]->options.begin(), known.paths[i]->options.end(),
                       [&](auto o) { return s.gone[o]; }))
        add(known.paths[i]);
    const double steps = master->steps();
    master->solve();
    const bool done = master->value() - best <= settled * std::abs(best);
    const bool within = master->overpaid() <= settled * std::abs(best);
    if (done && !within) {
      master->raise_dearest(8);
      master->solve();
    }
    effort.done += (master->steps() - steps) / 4;
    if (done && within) break;
    // Between the best prices and the master's, which jump about (Wentges 1997).
    for (std::size_t r = 0; r < rows; ++r)
      trial[r] = mixed * known.price[r] + (1 - mixed) * master->price(r) / scale(s.limit[r]);
  }
  known.paths.clear();
  known.weight.clear();
  for (std::size_t i = 0; i < paths.size(); ++i)
    if (const double weight = master->weight(i); weight > 0) {
      known.paths.push_back(paths[i]);
      known.weight.push_back(weight);
    }
  return true;
}

bool Pricer::cut(Scope& s, Priced& known, Effort& effort) {
  const std::vector<double> share = known.share(f_);
  const std::size_t before = known.cuts.size();
  for (std::size_t r = 0; r < f_.rows; ++r)
    for (Cut& found : broken_cuts(f_, s, r, share)) {
      s.limit.push_back(found.limit);
      known.add(std::move(found));
      s.cuts.push_back(known.cuts.back());
    }
  effort.done += static_cast<double>(2 * f_.options() * f_.rows);
  return known.cuts.size() > before;
}

bool Pricer::ascend(Scope& s, Priced& known, int rounds, int cuts, Effort& effort) {
  for (std::size_t r = 0; r < f_.rows; ++r)
    if (s.limit[r] < 0) {
      known.bound = never;
      return false;
    }
  do {
    if (!climb(s, known, rounds, effort)) return false;
  } while (cuts-- > 0 && cut(s, known, effort));
  return true;
}

}  // namespace switchyard::scheduler
