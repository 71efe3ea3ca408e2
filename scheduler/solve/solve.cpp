#include <algorithm>
#include <bit>
#include <cmath>

#include "scheduler/solve/labels.h"

namespace switchyard::scheduler {
namespace {

// Of a placement: what need not be told apart.
constexpr double same = 1e-9;

// A part of all placements: those that use the devices `in` (whose fixed parts are taken off the limits) and not `out`,
// and that take the options `with` and none of `without`.
struct Node {
  std::uint64_t in = 0, out = 0;
  std::vector<std::size_t> with, without;
  double bound = -never;
  std::vector<double> price;
  std::size_t unpaid = 64;  // an undecided device that good paths use without paying its fixed part; 64: none
  std::size_t torn = none;  // an option that good paths take and do not take
  std::size_t width = 0;    // of the labels last tried
  bool slow = false;        // wider ones raised the bound too little

  static constexpr std::size_t none = static_cast<std::size_t>(-1);
};

class Solver {
 public:
  Solver(const Chain& chain, const ChainOptions& options) : chain_(chain), f_(chain), relaxed_(f_), search_(f_) {
    std::size_t size = 0;
    for (std::size_t u = 0; u < f_.units; ++u) size += (f_.first[u + 1] - f_.first[u]) * f_.places;
    effort_.allowed = options.effort * std::max(1.5e6, 4000 * static_cast<double>(size));
    gone_.assign(f_.cost.size(), 0);
    before_ = options.before;
  }

  ChainResult solve() {
    ChainResult result;
    if (!f_.all_have_options) return result;
    Node root;
    root.price.assign(f_.rows, 0);
    result.bound = relaxed_.solve(scope(root), root.price, effort_);
    if (result.bound == never) return result;
    const auto free_path = relaxed_.path();
    if (search_.offer(free_path)) {
      result.cost = search_.best_cost;
      return finish(result, result.cost);
    }
    begin_from_before(root);
    root.bound = result.bound;
    ascend(root, 150);
    result.price.assign(chain_.rows(), 0);
    for (std::size_t r = 0; r < f_.rows; ++r) result.price[f_.row_of[r]] = root.price[r];
    search_.greedy(scope(root), effort_);
    if (Scope s = scope(root); search_.best_cost < never) {
      drop_hopeless(s, root.price, search_.best_cost * (1 + same));
      gone_ = s.gone;
      for (auto o : search_.best) gone_[o] = 0;
    }
    search_.improve(scope(root), 4, effort_);
    const double bound = branch(std::move(root));
    if (search_.best.empty()) {
      Effort enough{never};
      const auto nearest = search_.least_overcommitted(scope(Node{}), free_path, enough);
      if (search_.offer(std::vector<std::size_t>(nearest))) return finish(result, std::max(bound, result.bound));
      result.bound = bound;
      result.placement = f_.placement(nearest);
      result.cost = cost_of(chain_, result.placement);
      return result;
    }
    return finish(result, std::max(bound, result.bound));
  }

 private:
  Scope scope(const Node& node) const {
    Scope s{gone_, f_.limit};
    for (std::size_t o = 0; o < s.gone.size() && node.out; ++o)
      if (f_.devices[o] & node.out) s.gone[o] = 1;
    for (auto o : node.without) s.gone[o] = 1;
    for (auto o : node.with)
      for (std::size_t other = f_.first[f_.unit[o]]; other < f_.first[f_.unit[o] + 1]; ++other)
        if (other != o) s.gone[other] = 1;
    for (std::uint64_t in = node.in; in; in &= in - 1) {
      const double* once = f_.taken_once(static_cast<std::size_t>(std::countr_zero(in)));
      for (std::size_t r = 0; r < f_.rows; ++r) s.limit[r] -= once[r];
    }
    return s;
  }

  void begin_from_before(Node& root) {
    if (!before_) return;
    if (before_->price.size() == chain_.rows())
      for (std::size_t r = 0; r < f_.rows; ++r) root.price[r] = before_->price[f_.row_of[r]];
    if (before_->placement.size() != f_.units) return;
    for (std::size_t u = 0; u < f_.units; ++u)
      if (before_->placement[u] >= chain_.units[u].size()) return;
    search_.repair_and_offer(scope(root), f_.options(before_->placement), effort_);
  }

  // Raises node.bound by better prices, which it leaves in node.price. The volume algorithm (Barahona and Anbil 2000):
  // steps from the best prices along a mean of what the paths overuse; the same mean of the paths, `share`, tells what
  // prices alone cannot decide.
  void ascend(Node& node, int rounds) {
    const Scope s = scope(node);
    for (double limit : s.limit)
      if (limit < 0) {
        node.bound = never;
        return;
      }
    std::vector<double> trial = node.price, over(f_.rows), mean, share(f_.cost.size(), 0), along(f_.rows);
    double best = -never, reach = 0.5;
    int stalled = 0;
    for (int round = 0; round < rounds && reach > 1e-3 && (effort_.left() || round < 10); ++round) {
      const double value = relaxed_.solve(s, trial, effort_);
      if (value == never) {
        node.bound = never;
        return;
      }
      const auto path = relaxed_.path();
      search_.offer(path);
      if (round % 50 == 20) search_.repair_and_offer(s, path, effort_);
      f_.take(path, over);  // then, shares of the rows beyond their limits
      for (std::size_t r = 0; r < f_.rows; ++r) over[r] = (over[r] - s.limit[r]) / std::max(1.0, s.limit[r]);
      if (round == 0) mean = over;
      const double weight = round == 0 ? 1 : weight_of(over, mean);
      double agrees = 0;
      for (std::size_t r = 0; r < f_.rows; ++r) {
        agrees += over[r] * along[r];
        mean[r] += weight * (over[r] - mean[r]);
      }
      for (double& v : share) v *= 1 - weight;
      for (auto o : path) share[o] += weight;
      if (round == 0 || value > best + 1e-12 * std::abs(best)) {
        best = value;
        node.price = trial;
        stalled = 0;
        if (agrees > 0) reach = std::min(2.0, 1.3 * reach);
      } else if (++stalled >= 6) {
        reach *= 0.66;
        stalled = 0;
      }
      if (best >= search_.best_cost * (1 - same)) break;
      double norm = 0;
      for (std::size_t r = 0; r < f_.rows; ++r) {
        along[r] = node.price[r] <= 0 && mean[r] < 0 ? 0 : mean[r];
        norm += along[r] * along[r];
      }
      if (norm < 1e-12) break;
      const double target = std::min(search_.best_cost, best + 0.05 * std::abs(best) + 1e-9);
      const double step = reach * std::max(1e-6 * std::abs(best), target - best) / norm;
      for (std::size_t r = 0; r < f_.rows; ++r)
        trial[r] = std::max(0.0, node.price[r] + step * along[r] / std::max(1.0, s.limit[r]));
    }
    node.bound = std::max(node.bound, best);
    node.torn = most_torn(node, s, share);
    node.unpaid = dearest_unpaid(node, share);
  }

  // Of a new direction in the mean: what makes it shortest, within reason.
  double weight_of(const std::vector<double>& over, const std::vector<double>& mean) const {
    double along = 0, apart = 0;
    for (std::size_t r = 0; r < f_.rows; ++r) {
      along += mean[r] * (mean[r] - over[r]);
      apart += (mean[r] - over[r]) * (mean[r] - over[r]);
    }
    return apart > 0 ? std::clamp(along / apart, 0.02, 0.3) : 0.02;
  }

  // Of the undecided devices that a share of the paths used, the one whose fixed part is dearest at these prices.
  std::size_t dearest_unpaid(const Node& node, const std::vector<double>& share) const {
    std::uint64_t used = 0;
    for (std::size_t o = 0; o < share.size(); ++o)
      if (share[o] > 0.02) used |= f_.devices[o];
    std::size_t dearest = 64;
    double most = -1;
    for (std::uint64_t left = used & f_.charged & ~node.in & ~node.out; left; left &= left - 1) {
      const auto d = static_cast<std::size_t>(std::countr_zero(left));
      double value = 0;
      for (std::size_t r = 0; r < f_.rows; ++r) value += node.price[r] * f_.taken_once(d)[r];
      if (value > most) most = value, dearest = d;
    }
    return dearest;
  }

  // Of the options that a share of the paths took and the others did not, the one with most at stake at these prices.
  std::size_t most_torn(const Node& node, const Scope& s, const std::vector<double>& share) const {
    std::size_t torn = Node::none;
    double most = 0;
    for (std::size_t o = 0; o < share.size(); ++o) {
      if (s.gone[o] || share[o] < 0.05 || share[o] > 0.95) continue;
      double stake = 0;
      for (std::size_t r = 0; r < f_.rows; ++r) stake += node.price[r] * f_.taken(o)[r];
      stake *= std::min(share[o], 1 - share[o]);
      if (stake > most) most = stake, torn = o;
    }
    return torn;
  }

  // Takes so much of a row that prices, which would take a part of it, say little.
  bool coarse(std::size_t option) const {
    for (std::size_t r = 0; r < f_.rows; ++r)
      if (f_.taken(option)[r] > 0.2 * f_.limit[r]) return true;
    return false;
  }

  // Takes out of the scope what no placement that costs less than `worth` can take at these prices.
  void drop_hopeless(Scope& s, const std::vector<double>& price, double worth) {
    std::vector<double> bound;
    relaxed_.solve(s, price, effort_);
    relaxed_.bounds_with_each(s, bound, effort_);
    for (std::size_t o = 0; o < bound.size(); ++o)
      if (bound[o] >= worth) s.gone[o] = 1;
  }

  // Parts with the lowest bound first. Returns a bound on all.
  double branch(Node root) {
    std::vector<Node> open{std::move(root)};
    double proven = never;  // of the parts that are done
    auto hopeless = [&](const Node& n) { return n.bound >= search_.best_cost * (1 - same); };
    while (!open.empty()) {
      const auto lowest =
          std::min_element(open.begin(), open.end(), [](const Node& a, const Node& b) { return a.bound < b.bound; });
      // Without any placement that fits it goes on for longer, since an answer is worth more than a bound.
      if (hopeless(*lowest) || effort_.done > effort_.allowed * (search_.best.empty() ? 5 : 1)) break;
      Node node = std::move(*lowest);
      open.erase(lowest);
      if (const std::size_t d = node.unpaid; d < 64 && node.width == 0) {
        for (bool in : {true, false}) {
          Node part = node;
          (in ? part.in : part.out) |= std::uint64_t{1} << d;
          ascend(part, 40);
          if (part.bound < never) open.push_back(std::move(part));
        }
        continue;
      }
      if (node.torn != Node::none && (node.slow || (node.width == 0 && coarse(node.torn)))) {
        for (bool with : {true, false}) {
          Node part = node;
          (with ? part.with : part.without).push_back(node.torn);
          part.width = 0;
          part.slow = false;
          ascend(part, 30);
          if (part.bound < never) open.push_back(std::move(part));
        }
        continue;
      }
      node.width = node.width ? std::min<std::size_t>(4 * node.width, 1 << 16) : 64;
      const double bound = by_labels(node);
      search_.improve(scope(Node{}), 5, effort_);
      const double raised = bound - node.bound;
      node.bound = std::max(node.bound, bound);
      node.slow = node.width > 256 && raised < 0.25 * (search_.best_cost - node.bound);
      if (bound == -never || hopeless(node))  // no more to learn of it
        proven = std::min(proven, node.bound);
      else
        open.push_back(std::move(node));
    }
    for (const Node& n : open) proven = std::min(proven, n.bound);
    return std::min(proven, search_.best_cost);
  }

  double by_labels(const Node& node) {
    Scope s = scope(node);
    if (search_.best_cost == never) {
      relaxed_.solve(s, node.price, effort_);
    } else {
      drop_hopeless(s, node.price, search_.best_cost * (1 - same));
      for (std::size_t u = 0; u < f_.units; ++u)
        if (std::all_of(s.gone.begin() + static_cast<std::ptrdiff_t>(f_.first[u]),
                        s.gone.begin() + static_cast<std::ptrdiff_t>(f_.first[u + 1]), [](char g) { return g; }))
          return search_.best_cost;
    }
    return search_labels(f_, s, relaxed_, node.price, node.in, node.width, search_, effort_);
  }

  ChainResult finish(ChainResult& result, double bound) {
    result.placement = f_.placement(search_.best);
    result.cost = cost_of(chain_, result.placement);
    result.fits = true;
    result.bound = std::min(bound, result.cost);
    result.optimal = result.bound >= result.cost * (1 - same);
    return result;
  }

  const Chain& chain_;
  const Flat f_;
  Relaxed relaxed_;
  Search search_;
  Effort effort_;
  std::vector<char> gone_;
  const ChainResult* before_ = nullptr;
};

}  // namespace

ChainResult solve(const Chain& chain, const ChainOptions& options) { return Solver(chain, options).solve(); }

}  // namespace switchyard::scheduler
