#include "scheduler/solve/kept.h"

#include <algorithm>

#include "scheduler/solve/cuts.h"

namespace switchyard::scheduler {

std::shared_ptr<const Kept> kept_of(const Flat& f, const Priced& root) {
  Kept kept;
  for (std::size_t c = 0; c < root.cuts.size(); ++c)
    if (!root.cuts[c]->counts) {
      kept.cuts.push_back({root.cuts[c]->origin, root.price[f.rows + c]});
      kept.cuts.back().first.row = f.row_of[root.cuts[c]->origin.row];
    }
  for (const auto& path : root.paths) kept.mixture.push_back(f.placement(path->options));
  kept.weight = root.weight;
  return std::make_shared<const Kept>(std::move(kept));
}

void take_over(const Chain& chain, const Flat& f, const ChainResult& before, Scope& s, Priced& root) {
  if (before.price.size() == chain.rows())
    for (std::size_t r = 0; r < f.rows; ++r) root.price[r] = before.price[f.row_of[r]];
  if (!before.kept) return;
  for (auto [origin, price] : before.kept->cuts) {
    const auto row = std::find(f.row_of.begin(), f.row_of.end(), origin.row);
    if (row == f.row_of.end()) continue;
    origin.row = static_cast<std::size_t>(row - f.row_of.begin());
    std::erase_if(origin.charged, [&](const Cut::Charge& c) { return c.device >= chain.devices || c.unit >= f.units; });
    auto cut = cut_from(f, s, origin);
    if (!cut) continue;
    s.limit.push_back(cut->limit);
    root.add(std::move(*cut));
    root.price.back() = price;
    s.cuts.push_back(root.cuts.back());
  }
  for (std::size_t i = 0; i < before.kept->mixture.size(); ++i) {
    const Placement& x = before.kept->mixture[i];
    if (!is_placement(chain, x)) continue;
    const double cost = cost_of(chain, x);
    if (cost == never) continue;
    root.paths.push_back(std::make_shared<Path>(Path{f.options(x), cost}));
    root.weight.push_back(before.kept->weight[i]);
  }
}

}  // namespace switchyard::scheduler
