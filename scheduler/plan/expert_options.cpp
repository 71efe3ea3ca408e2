#include "scheduler/plan/expert_options.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "probes/measure/step.h"
#include "scheduler/experts/split.h"
#include "scheduler/experts/trace.h"
#include "scheduler/plan/problem.h"

namespace switchyard::scheduler {
namespace {

using probes::Step;
enum : std::size_t { front, near, far, join };

constexpr std::int64_t most_steps = 2048;  // of a trace that are looked at

std::int64_t experts_of(const hal::Segment& s) {
  for (const hal::Node& n : s.nodes)
    if (n.op == "expert_gemm@1") return s.values[n.in[3]].shape[0].max;
  return 0;
}

// The first `n` of a list of experts, as flags.
std::vector<bool> flags(const std::vector<std::int64_t>& order, std::int64_t n, bool value) {
  std::vector<bool> chosen(order.size(), !value);
  for (std::int64_t i = 0; i < n; ++i) chosen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = value;
  return chosen;
}

// A unit with experts.
struct Mixture {
  std::string key;  // equal for units that cost and take the same
  std::int64_t layer = 0, experts = 0;
  hal::Segment unit;        // without data
  ExpertSplit least, most;  // one expert near, all but one
};

// A device's seconds of the parts at a step.
struct PartTimes {
  double front = 0, rest = 0, join = 0, all = 0;
  bool by_memory = false;
  How how = How::measured;
  std::optional<double> error;
};

// What of a step's work in a layer falls on its n most used experts, and on the others.
struct Use {
  double hot_choices = 0;                    // share, 0 .. 1
  double hot_touched = 0, cold_touched = 0;  // distinct experts, over their number when use is even
};

class Options {
 public:
  Options(const Problem& p, const probes::Machine& machine, CostModel& cost, Claims& claims, const PlanRequest& request)
      : p_(p),
        machine_(machine),
        cost_(cost),
        claims_(claims),
        request_(request),
        trace_(*request.experts),
        usage_(usage_of(whole(trace_))) {}

  hal::Result<std::vector<ExpertOption>> of(std::size_t u);

 private:
  using Uses = std::vector<std::vector<Use>>;  // [count][step]
  Uses uses(const Mixture& m, const std::vector<std::int64_t>& order, std::int64_t rows) const;
  const std::optional<PartTimes>& times(const Mixture& m, std::size_t device, const Step& step);
  std::optional<PartTimes> estimate(const Mixture& m, const std::string& device, const Step& step);
  Estimate seconds(const Mixture& m, const ExpertOption& o, bool hot_here, const std::vector<Use>& uses,
                   const Step& step);
  const hal::Result<ExpertBytes>& bytes(const Mixture& m, const ExpertOption& o, std::int64_t here);
  bool worth_it(const ExpertOption& o, const Place& place) const;
  const std::string& id(std::size_t d) const { return p_.devices[d]->info.id; }

  const Problem& p_;
  const probes::Machine& machine_;
  CostModel& cost_;
  Claims& claims_;
  const PlanRequest& request_;
  const RoutingTrace& trace_;
  UsageHistogram usage_;
  std::map<std::tuple<std::string, std::size_t, std::int64_t, std::int64_t>, std::optional<PartTimes>> times_;
  std::map<std::tuple<std::string, std::size_t, std::size_t, std::int64_t>, hal::Result<ExpertBytes>> bytes_;
};

// Steps are rows that follow each other in the trace, which begins again at its end.
Options::Uses Options::uses(const Mixture& m, const std::vector<std::int64_t>& order, std::int64_t rows) const {
  const auto experts = static_cast<std::size_t>(m.experts);
  const std::int64_t tokens = trace_.tokens(), steps = std::clamp<std::int64_t>(tokens / rows, 1, most_steps);
  const double choices = static_cast<double>(rows * trace_.shape.top_k), all = static_cast<double>(m.experts);
  const double even =
      all * (1 - std::pow(1 - static_cast<double>(trace_.shape.top_k) / all, static_cast<double>(rows)));
  std::vector<std::size_t> rank(experts);
  for (std::size_t r = 0; r < experts; ++r) rank[static_cast<std::size_t>(order[r])] = r;
  const auto counts = expert_counts(m.experts);
  Uses uses(counts.size());
  const TraceView view = whole(trace_);
  for (std::int64_t s = 0; s < steps; ++s) {
    std::vector<std::int64_t> chosen(experts, 0);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::uint16_t e : view.at((s * tokens / steps + row) % tokens, m.layer)) ++chosen[rank[e]];
    const auto touched =
        static_cast<double>(experts) - static_cast<double>(std::count(chosen.begin(), chosen.end(), 0));
    double hits = 0, hot = 0;
    std::size_t r = 0;
    for (std::size_t c = 0; c < counts.size(); ++c) {
      for (; r < static_cast<std::size_t>(counts[c]); ++r) {
        hits += static_cast<double>(chosen[r]);
        hot += chosen[r] > 0;
      }
      uses[c].push_back({hits / choices, hot / even, (touched - hot) / even});
    }
  }
  return uses;
}

std::optional<PartTimes> Options::estimate(const Mixture& m, const std::string& device, const Step& step) {
  const probes::DeviceProfile* rates = cost_.profile().device(device);
  const auto whole = cost_.unit(device, m.unit, step);
  if (!rates || !whole) return std::nullopt;
  PartTimes t;
  t.how = whole->how;
  t.error = whole->error;
  auto of = [&](const ExpertSplit& split, std::size_t part) {
    const auto e = cost_.unit(device, split.parts[part].segment, step);  // the device is measured
    t.how = std::max(t.how, e->how);
    return e->seconds;
  };
  const auto n = static_cast<double>(m.experts);
  t.front = of(m.least, front);
  t.rest = std::max(0.0, of(m.least, near) - of(m.most, far));  // both with one expert
  t.join = of(m.least, join);
  t.all = of(m.least, far) * n / (n - 1);
  const double scale = whole->seconds / (t.front + t.rest + t.join + t.all);
  for (double* part : {&t.front, &t.rest, &t.join, &t.all}) *part *= scale;
  const Limit limit = limit_of(*rates, m.least.parts[far].segment, step);
  t.by_memory = limit.memory > limit.compute;
  return t;
}

const std::optional<PartTimes>& Options::times(const Mixture& m, std::size_t device, const Step& step) {
  auto [known, fresh] = times_.try_emplace({m.key, device, step.rows, step.sequences});
  if (fresh) known->second = estimate(m, id(device), step);
  return known->second;
}

const hal::Result<ExpertBytes>& Options::bytes(const Mixture& m, const ExpertOption& o, std::int64_t here) {
  const std::tuple key{m.key, o.own, o.other, here};
  auto known = bytes_.find(key);
  if (known == bytes_.end())
    known = bytes_
                .emplace(key, expert_bytes(p_.devices[o.own]->info, p_.devices[o.other]->info, m.unit, o.chosen,
                                           request_, claims_))
                .first;
  return known->second;
}

Estimate Options::seconds(const Mixture& m, const ExpertOption& o, bool hot_here, const std::vector<Use>& uses,
                          const Step& step) {
  const PartTimes &a = *times(m, o.own, step), &b = *times(m, o.other, step);
  const std::string &own = id(o.own), &other = id(o.other);
  auto moves = [&](std::size_t to, const std::string& from_id, const std::string& to_id) {
    const ExpertSplit::Part& part = m.least.parts[to];
    double seconds = 0;
    for (std::size_t i = 0; i < part.inputs.size(); ++i) {
      const std::size_t from = part.inputs[i].part;
      if (from == ExpertSplit::whole || (from == far) == (to == far)) continue;
      const hal::Tensor& t = part.segment.values[part.segment.inputs[i]];
      seconds += cost_.move(from_id, to_id, static_cast<double>(hal::tensor_bytes(t, probes::dims_of(step)))).seconds;
    }
    return seconds;
  };
  const double launch = cost_.profile().device(own)->launch.median, there = moves(far, own, other),
               back = moves(join, other, own);
  const hal::Segment& experts = m.least.parts[far].segment;
  const double slower = cost_.slowed(own, other, experts, step), other_slower = cost_.slowed(other, own, experts, step);
  auto share = [&](const Use& use, bool hot, bool by_memory) {
    if (by_memory) return hot ? use.hot_touched : use.cold_touched;
    return hot ? use.hot_choices : 1 - use.hot_choices;
  };
  double sum = 0;
  for (const Use& use : uses)
    sum += std::max(launch + slower * (a.rest + a.all * share(use, hot_here, a.by_memory)),
                    there + other_slower * b.all * share(use, !hot_here, b.by_memory));
  const auto here = std::count(o.chosen.begin(), o.chosen.end(), true);
  return {launch + a.front + sum / static_cast<double>(uses.size()) + back + launch + a.join, std::max(a.how, b.how),
          std::to_string(here) + " of " + std::to_string(m.experts) + " experts here, the others on " + other,
          a.error && b.error ? std::optional(std::max(*a.error, *b.error)) : std::nullopt};
}

bool Options::worth_it(const ExpertOption& o, const Place& place) const {
  if (!place.possible || o.decode.seconds < place.decode.seconds || o.prefill.seconds < place.prefill.seconds)
    return true;
  if (!request_.limits.pools.empty() && o.bytes < place.bytes) return true;  // a limit of `own` alone may want it
  const auto here = p_.takes(o.own, o.bytes), there = p_.takes(o.other, o.other_bytes),
             all = p_.takes(o.own, place.bytes);
  for (std::size_t r = 0; r < all.size(); ++r)
    if (here[r] + there[r] < all[r]) return true;
  return false;
}

hal::Result<std::vector<ExpertOption>> Options::of(std::size_t u) {
  std::vector<ExpertOption> options;
  const Unit& unit = request_.units[u];
  Mixture m{probes::unit_key(unit.segment), unit.layer, experts_of(unit.segment), unit.segment, {}, {}};
  if (m.experts < 2 || p_.pinned[u] >= 0) return options;
  if (m.layer < 0 || m.layer >= trace_.shape.layers || m.experts != trace_.shape.experts)
    return hal::Error{hal::Code::invalid_argument, "experts: the trace has " + std::to_string(trace_.shape.layers) +
                                                       " layers of " + std::to_string(trace_.shape.experts) +
                                                       " experts; " + unit.name + " has " + std::to_string(m.experts)};
  for (hal::Constant& c : m.unit.constants) c = {c.value, c.key, {}, nullptr, std::nullopt};
  const auto order = hottest_first(usage_, m.layer);
  auto least = split_experts_parallel(m.unit, flags(order, 1, true)),
       most = split_experts_parallel(m.unit, flags(order, 1, false));
  if (!least || !most) return options;
  m.least = std::move(*least);
  m.most = std::move(*most);
  const Step prefill{p_.chunk, 1, p_.chunk * (p_.chunks - 1) / 2, 1};
  const Uses of_decode = uses(m, order, p_.step.rows), of_prefill = uses(m, order, p_.chunk);
  const auto counts = expert_counts(m.experts);
  const bool energy = request_.mode == Mode::energy || request_.limits.joules;
  for (std::size_t own = 0; own < p_.devices.size(); ++own)
    for (std::size_t other = 0; other < p_.devices.size(); ++other) {
      if (machine_.chip_of(id(own)) == machine_.chip_of(id(other)) || !times(m, own, p_.step) ||
          !times(m, other, p_.step) || (energy && (!p_.power[own] || !p_.power[other])))
        continue;
      const bool hot_here = times(m, own, p_.step)->all <= times(m, other, p_.step)->all;
      for (std::size_t c = 0; c < counts.size(); ++c) {
        ExpertOption o{own, other, flags(order, counts[c], hot_here), {}, {}, 0, 0};
        const auto& taken = bytes(m, o, hot_here ? counts[c] : m.experts - counts[c]);
        if (!taken) continue;
        o.bytes = taken->own + session_bytes(request_, unit);
        o.other_bytes = taken->other;
        o.decode = seconds(m, o, hot_here, of_decode[c], p_.step);
        o.prefill = seconds(m, o, hot_here, of_prefill[c], prefill);
        o.prefill.seconds *= static_cast<double>(p_.chunks);
        if (worth_it(o, p_.places[u][own])) options.push_back(std::move(o));
      }
    }
  return options;
}

}  // namespace

std::vector<std::int64_t> expert_counts(std::int64_t experts) {
  std::vector<std::int64_t> counts;
  for (std::int64_t eighths : {1, 2, 4, 6, 7})
    if (const std::int64_t n = std::max<std::int64_t>(1, experts * eighths / 8);
        n < experts && (counts.empty() || n > counts.back()))
      counts.push_back(n);
  return counts;
}

const ExpertOption* Problem::experts_of(const Posed& posed, std::size_t unit, std::size_t option) const {
  const std::size_t whole = posed.whole[unit];
  return option < whole ? nullptr : &experts[unit][option - whole];
}

void add_expert_options(const Problem& p, std::size_t unit, Mode mode, Quantity objective, double scale, Posed& posed) {
  for (const ExpertOption& o : p.experts[unit]) {
    auto taken = p.takes(o.own, o.bytes);
    const auto there = p.takes(o.other, o.other_bytes);
    std::transform(taken.begin(), taken.end(), there.begin(), taken.begin(), std::plus<>());
    double cost = scale * p.of_experts(objective, o);
    for (auto [d, bytes] : {std::pair{o.own, o.bytes}, {o.other, o.other_bytes}})
      if (mode == Mode::memory)
        cost += static_cast<double>(bytes) / std::max(1.0, static_cast<double>(p.rows[p.rows_of[d].front()].capacity));
    posed.chain.units[unit].push_back(
        {cost, o.own, std::uint64_t{1} << o.own | std::uint64_t{1} << o.other, std::move(taken)});
    posed.devices[unit].push_back(o.own);
  }
}

hal::Result<std::vector<std::vector<ExpertOption>>> expert_options(const Problem& problem,
                                                                   const probes::Machine& machine, CostModel& cost,
                                                                   Claims& claims, const PlanRequest& request) {
  std::vector<std::vector<ExpertOption>> all(request.units.size());
  if (!request.experts || problem.groups > 1) return all;
  if (request.experts->model_hash != request.model_hash)
    return hal::Error{hal::Code::invalid_argument, "experts: the trace is of " + request.experts->model +
                                                       ", the plan for " + request.model +
                                                       " of other weights: record a trace with it"};
  if (request.experts->tokens() < 1) return hal::Error{hal::Code::invalid_argument, "experts: the trace has no tokens"};
  Options options(problem, machine, cost, claims, request);
  for (std::size_t u = 0; u < all.size(); ++u) {
    HAL_TRY(all[u], options.of(u));
  }
  return all;
}

}  // namespace switchyard::scheduler
