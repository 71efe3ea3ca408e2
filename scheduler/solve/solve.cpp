#include <algorithm>
#include <utility>

#include "scheduler/solve/kept.h"
#include "scheduler/solve/labels.h"
#include "scheduler/solve/part.h"

namespace switchyard::scheduler {
namespace {

class Solver {
 public:
  Solver(const Chain& chain, const ChainOptions& options)
      : chain_(chain), f_(chain), relaxed_(f_), search_(f_), pricer_(f_, relaxed_, search_), before_(options.before) {
    std::size_t size = 0;
    for (std::size_t u = 0; u < f_.units; ++u) size += (f_.first[u + 1] - f_.first[u]) * f_.places;
    effort_.allowed = options.effort * std::max(1.5e6, 5000 * static_cast<double>(size));
    gone_.assign(f_.options(), 0);
  }

  ChainResult solve() {
    ChainResult result;
    if (!f_.all_have_options) return result;
    Part root;
    root.price.assign(f_.rows, 0);
    const Scope all{gone_, f_.limit, {}};
    result.bound = relaxed_.solve(all, root.price, effort_);
    if (result.bound == never) return result;
    const auto free_path = relaxed_.path();
    if (search_.offer(free_path)) {
      result.cost = search_.best_cost;
      return finish(result, result.cost);
    }
    begin_from_before(root);
    root.bound = result.bound;
    ascend(root, 300, 10);
    result.price.assign(chain_.rows(), 0);
    for (std::size_t r = 0; r < f_.rows; ++r) result.price[f_.row_of[r]] = root.price[r];
    result.kept = kept_of(f_, root);
    search_.greedy(all, effort_);
    for (int i = 0; i < 2; ++i) polish(root);
    if (search_.best_cost < never && root.bound < never) {
      Scope s = scope(root);
      drop_hopeless(s, root.price, search_.best_cost * (1 + same));
      gone_ = s.gone;
      for (auto o : search_.best) gone_[o] = 0;
    }
    within(0.1, [&] { search_.improve(scope(Part{}), 2, effort_); });
    const double bound = branch(std::move(root));
    if (search_.best.empty()) {
      Effort enough{never};
      const auto nearest = search_.least_overcommitted(scope(Part{}), free_path, enough);
      if (search_.offer(std::vector<std::size_t>(nearest))) return finish(result, std::max(bound, result.bound));
      result.bound = bound;
      result.placement = f_.placement(nearest);
      result.cost = cost_of(chain_, result.placement);
      return result;
    }
    return finish(result, std::max(bound, result.bound));
  }

 private:
  Scope scope(const Part& part) const { return scope_of(f_, part, gone_); }

  void begin_from_before(Part& root) {
    if (!before_) return;
    Scope s = scope(root);
    if (is_placement(chain_, before_->placement)) search_.repair_and_offer(s, f_.options(before_->placement), effort_);
    take_over(chain_, f_, *before_, s, root);
  }

  void ascend(Part& part, int rounds, int cuts) {
    Scope s = scope(part);
    if (pricer_.ascend(s, part, rounds, cuts, effort_)) find_open(f_, s, part);
  }

  // Takes out of the scope what no placement that costs less than `worth` can take at these prices.
  void drop_hopeless(Scope& s, const std::vector<double>& price, double worth) {
    std::vector<double> bound;
    relaxed_.solve(s, price, effort_);
    relaxed_.bounds_with_each(s, bound, effort_);
    for (std::size_t o = 0; o < bound.size(); ++o)
      if (bound[o] >= worth) s.gone[o] = 1;
  }

  bool hopeless(const Part& part) const { return part.bound >= search_.best_cost * (1 - same); }

  // The part with the lowest bound first, but from each on to the better one of its two until labels look at one, since
  // deep in is where placements are found. Returns a bound on all.
  double branch(Part root) {
    std::vector<Part> open;  // a heap
    std::optional<Part> next{std::move(root)};
    double proven = never;  // of the parts that are done
    auto higher = [](const Part& a, const Part& b) { return a.bound > b.bound; };
    auto keep = [&](Part part) {
      open.push_back(std::move(part));
      std::push_heap(open.begin(), open.end(), higher);
    };
    while (next || !open.empty()) {
      if (!next) {
        std::pop_heap(open.begin(), open.end(), higher);
        next = std::move(open.back());
        open.pop_back();
      }
      Part part = *std::exchange(next, std::nullopt);
      // Without any placement that fits it goes on for longer, since an answer is worth more than a bound.
      if (hopeless(part) || effort_.done > effort_.allowed * (search_.best.empty() ? 5 : 1)) {
        proven = std::min(proven, part.bound);
        continue;
      }
      if (auto two = divided(f_, part)) {
        for (Part& p : *two) ascend(p, 60, 1);
        if (higher((*two)[0], (*two)[1])) std::swap((*two)[0], (*two)[1]);
        polish((*two)[0]);
        next = std::move((*two)[0]);
        keep(std::move((*two)[1]));
        continue;
      }
      part.width = part.width ? std::min<std::size_t>(4 * part.width, 1 << 16) : 64;
      const double bound = by_labels(part);
      polish(part);
      const double raised = bound - part.bound;
      part.bound = std::max(part.bound, bound);
      part.slow = part.width > 256 && raised < 0.25 * (search_.best_cost - part.bound);
      if (bound == -never)  // no more to learn of it
        proven = std::min(proven, part.bound);
      else
        keep(std::move(part));
    }
    return std::min(proven, search_.best_cost);
  }

  // Local search from what the part's prices suggest, as long as that is half of the work or less.
  void polish(const Part& part) {
    const double begin = effort_.done;
    if (part.paths.empty() || polishing_ > std::max(0.5 * begin, 0.3 * effort_.allowed)) return;
    within(0.1, [&] { search_.repair_and_offer(scope(Part{}), part.rounded(f_, turn_++), effort_); });
    polishing_ += effort_.done - begin;
  }

  // Does this with a share of all the work at most.
  template <class Work>
  void within(double share, Work work) {
    const double allowed = effort_.allowed;
    effort_.allowed = std::min(allowed, effort_.done + share * allowed);
    work();
    effort_.allowed = allowed;
  }

  double by_labels(const Part& part) {
    Scope s = scope(part);
    if (search_.best_cost == never) {
      relaxed_.solve(s, part.price, effort_);
    } else {
      drop_hopeless(s, part.price, search_.best_cost * (1 - same));
      for (std::size_t u = 0; u < f_.units; ++u)
        if (std::all_of(s.gone.begin() + static_cast<std::ptrdiff_t>(f_.first[u]),
                        s.gone.begin() + static_cast<std::ptrdiff_t>(f_.first[u + 1]), [](char g) { return g; }))
          return search_.best_cost;
    }
    return search_labels(f_, s, relaxed_, part.price, part.in, part.width, search_, effort_);
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
  Pricer pricer_;
  Effort effort_;
  std::vector<char> gone_;  // options that no placement better than the best known takes
  double polishing_ = 0;    // of the work done
  std::size_t turn_ = 0;
  const ChainResult* before_ = nullptr;
};

}  // namespace

ChainResult solve(const Chain& chain, const ChainOptions& options) { return Solver(chain, options).solve(); }

}  // namespace switchyard::scheduler
