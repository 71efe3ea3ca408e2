// Plans that may put a layer's experts on two devices, against the definition written out and against all placements.
#include "scheduler/plan/expert_options.h"

#include <cmath>
#include <set>

#include "kernels/expert_gemm/expert_gemm.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/router_topk/router_topk.h"
#include "probes/measure/step.h"
#include "scheduler/experts/split.h"
#include "scheduler/plan/problem.h"
#include "tests/support/pairs.h"
#include "tests/support/traces.h"

namespace switchyard::scheduler {
namespace {

using probes::Step;
using test::Dice;

constexpr std::int64_t hidden = 256, inner = 512, experts = 16, top_k = 3;
constexpr hal::Bytes scratch = 1000;

hal::Claim claim_all(const hal::Info& info, const hal::Segment& s) {
  hal::Claim claim = test::take_all(info, s);
  claim.scratch = scratch;
  return claim;
}

// A layer's feed-forward part: routed experts, and one that every row takes.
Unit mixture(std::int64_t layer) {
  const auto key = 1000 * static_cast<std::uint64_t>(layer + 1);
  kernels::SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 256), hal::Dim::fixed(hidden)});
  auto constant = [&](std::vector<std::int64_t> shape, std::uint64_t number, hal::DType type = hal::DType::q8_0) {
    return b.constant(type, std::move(shape), key + number, {}, nullptr);
  };
  auto u = kernels::rmsnorm::append(b, x, constant({hidden}, 1, hal::DType::f32), 1e-5f);
  auto routed = kernels::router_topk::append(b, kernels::gemm::append(b, u, constant({experts, hidden}, 2)), top_k);
  kernels::expert_gemm::Inputs in{u, routed.index, routed.gate, constant({experts, inner, hidden}, 3)};
  in.w_up = constant({experts, inner, hidden}, 4);
  in.w_down = constant({experts, hidden, inner}, 5);
  in.residual = x;
  kernels::gemm::Options o;
  o.residual = kernels::expert_gemm::append(b, in, {experts, 1, kernels::Activations::exact});
  b.output(kernels::gemm::append(b, kernels::gemm::append(b, u, constant({inner, hidden}, 6)),
                                 constant({hidden, inner}, 7), o));
  const std::string name = "layer " + std::to_string(layer) + " (experts)";
  return {name, "experts", layer, b.take()};
}

struct Sample {
  test::Place p;
  PlanRequest request;
};

// A plain unit, then `layers` mixtures, on three devices of which any may be the fast one.
Sample sample(Dice& dice, Mode mode, std::int64_t layers, std::uint64_t seed) {
  Sample s{test::random_machine("two-cards", dice), {}};
  for (auto& d : s.p.profile.devices) {
    d.read.per_second = 1e9 * std::exp(dice.real(0, 3));
    d.launch.median = dice.real(1e-7, 1e-5);
    for (auto* curve : {&d.to_device, &d.to_host}) {
      const double latency = dice.real(1e-7, 1e-5);
      test::set_copies(*curve, latency, dice.real(2e9, 20e9));
    }
  }
  s.p.profile.links.clear();
  for (const char* a : {"cpu:0", "vulkan:0", "vulkan:1"})
    for (const char* b : {"cpu:0", "vulkan:0", "vulkan:1"}) {
      const double reads = dice.real(1, 1.6);
      if (a != b) s.p.profile.contention.push_back({a, b, reads, dice.real(1, 1.2)});
    }
  PlanRequest& r = s.request;
  r.model = "sample";
  r.model_hash = 77;
  r.mode = mode;
  r.context = 512;
  r.prompt = 150;
  r.chunk = 64;
  r.sessions = mode == Mode::throughput ? 3 : 1;
  r.groups = mode == Mode::throughput ? 1 : 0;
  for (std::int64_t l = 0; l < layers; ++l) r.units.push_back(mixture(l));
  auto trace = test::zipf({layers, experts, top_k}, 200, 0.4, 1.6, seed);
  trace.model_hash = r.model_hash;
  r.experts = std::make_shared<const RoutingTrace>(std::move(trace));
  return s;
}

// One way to run a unit, by the definition.
struct Way {
  std::size_t own = 0, other = 0;  // the same: all of it there
  std::vector<bool> chosen;
  double decode = 0, prefill = 0;
  std::vector<std::int64_t> takes;
};

struct Reference {
  Sample& s;
  CostModel cost{s.p.profile};
  Claims claims{claim_all};
  Problem problem = pose(s.p.machine, cost, claims, s.request).value();

  const std::string& id(std::size_t d) const { return problem.devices[d]->info.id; }
  double of(std::size_t d, const hal::Segment& part, const Step& step) { return cost.unit(id(d), part, step)->seconds; }

  // The experts of a layer, most used first.
  std::vector<std::int64_t> order(std::int64_t layer) const {
    std::vector<std::int64_t> count(experts, 0), all(experts);
    const RoutingTrace& t = *s.request.experts;
    for (std::int64_t i = 0; i < t.tokens(); ++i)
      for (auto e : whole(t).at(i, layer)) ++count[e];
    for (std::int64_t e = 0; e < experts; ++e) all[static_cast<std::size_t>(e)] = e;
    std::stable_sort(all.begin(), all.end(), [&](auto a, auto b) {
      return count[static_cast<std::size_t>(a)] > count[static_cast<std::size_t>(b)];
    });
    return all;
  }

  struct Times {
    double front, rest, join, all;
    bool by_memory;
  };
  Times times(std::size_t d, const hal::Segment& unit, const Step& step) {
    std::vector<bool> one(experts, false), rest(experts, true);
    one[0] = true;
    rest[0] = false;
    const auto least = split_experts_parallel(unit, one).value(), most = split_experts_parallel(unit, rest).value();
    Times t{
        of(d, least.parts[0].segment, step), of(d, least.parts[1].segment, step) - of(d, most.parts[2].segment, step),
        of(d, least.parts[3].segment, step), of(d, least.parts[2].segment, step) * experts / (experts - 1.0), false};
    const double scale = of(d, unit, step) / (t.front + t.rest + t.join + t.all);
    for (double* x : {&t.front, &t.rest, &t.join, &t.all}) *x *= scale;
    const Limit limit = limit_of(*s.p.profile.device(id(d)), least.parts[2].segment, step);
    t.by_memory = limit.memory > limit.compute;
    return t;
  }

  double seconds(const Unit& unit, std::size_t a, std::size_t b, const std::vector<bool>& chosen, const Step& step) {
    const Times ta = times(a, unit.segment, step), tb = times(b, unit.segment, step);
    const RoutingTrace& trace = *s.request.experts;
    const auto split = split_experts_parallel(unit.segment, chosen).value();
    const double rows = static_cast<double>(step.rows);
    const double there = cost.move(id(a), id(b), 4 * rows * hidden).seconds +
                         2 * cost.move(id(a), id(b), 4 * rows * top_k).seconds,
                 back = cost.move(id(b), id(a), 4 * rows * hidden).seconds;
    const double launch = s.p.profile.device(id(a))->launch.median;
    const hal::Segment& far = split.parts[2].segment;
    const double ca = cost.slowed(id(a), id(b), far, step), cb = cost.slowed(id(b), id(a), far, step);
    const std::int64_t n = trace.tokens(), steps = std::max<std::int64_t>(1, n / step.rows);
    const double even = experts * (1 - std::pow(1 - static_cast<double>(top_k) / experts, rows));
    double sum = 0;
    for (std::int64_t i = 0; i < steps; ++i) {
      double hits = 0, misses = 0;
      std::set<std::uint16_t> here, elsewhere;
      for (std::int64_t row = 0; row < step.rows; ++row)
        for (auto e : whole(trace).at((i * n / steps + row) % n, unit.layer)) {
          ++(chosen[e] ? hits : misses);
          (chosen[e] ? here : elsewhere).insert(e);
        }
      const double choices = hits + misses;
      const double xa = ta.all * (ta.by_memory ? static_cast<double>(here.size()) / even : hits / choices);
      const double xb = tb.all * (tb.by_memory ? static_cast<double>(elsewhere.size()) / even : misses / choices);
      sum += std::max(launch + ca * (ta.rest + xa), there + cb * xb);
    }
    return launch + ta.front + sum / static_cast<double>(steps) + back + ta.join + launch;
  }

  // Weights, scratch and buffers of the parts.
  std::vector<std::int64_t> takes(const Unit& unit, std::size_t a, std::size_t b, const std::vector<bool>& chosen) {
    const auto split = split_experts_parallel(unit.segment, chosen).value();
    std::map<std::size_t, hal::Bytes> sum;
    for (std::size_t p = 0; p < 4; ++p) {
      const auto& part = split.parts[p];
      hal::Bytes& bytes = sum[p == 2 ? b : a];
      bytes += scratch;
      for (const auto& c : part.segment.constants) bytes += hal::max_bytes(part.segment.values[c.value]);
      const std::vector<std::int64_t> dims{s.request.chunk, 1, 1};
      for (auto v : part.segment.outputs) bytes += hal::tensor_bytes(part.segment.values[v], dims);
    }
    const auto rows = static_cast<hal::Bytes>(s.request.chunk);
    sum[b] += 4 * rows * (hidden + 2 * top_k);  // x, index, gate
    sum[a] += 4 * rows * hidden * 3;            // the rows for front and for near, and the sum from there
    std::vector<std::int64_t> all(problem.rows.size(), 0);
    for (const auto& [d, bytes] : sum) {
      const auto of = problem.takes(d, bytes);
      for (std::size_t r = 0; r < all.size(); ++r) all[r] += of[r];
    }
    return all;
  }

  std::vector<Way> ways(std::size_t u) {
    const Unit& unit = s.request.units[u];
    std::vector<Way> all;
    const Step prefill{problem.chunk, 1, problem.chunk * (problem.chunks - 1) / 2, 1};
    for (std::size_t d = 0; d < problem.devices.size(); ++d) {
      const Place& place = problem.places[u][d];
      all.push_back({d, d, {}, place.decode.seconds, place.prefill.seconds, problem.takes(d, place.bytes)});
    }
    const auto hottest = order(unit.layer);
    for (std::size_t a = 0; a < problem.devices.size(); ++a)
      for (std::size_t b = 0; b < problem.devices.size(); ++b)
        for (std::size_t n : {2, 4, 8, 12, 14}) {
          if (a == b) continue;
          const bool here = times(a, unit.segment, problem.step).all <= times(b, unit.segment, problem.step).all;
          std::vector<bool> chosen(experts, !here);
          for (std::size_t i = 0; i < n; ++i) chosen[static_cast<std::size_t>(hottest[i])] = here;
          all.push_back({a, b, chosen, seconds(unit, a, b, chosen, problem.step),
                         seconds(unit, a, b, chosen, prefill) * static_cast<double>(problem.chunks),
                         takes(unit, a, b, chosen)});
        }
    return all;
  }

  // The least seconds or joules of all placements that fit and keep these limits, of the prompt (the step, where the
  // prompt is the objective) and of memory; on one device; without experts on two.
  struct Best {
    double all = never, one = never, plain = never;
  };
  Best best(double longest = never, double most_bytes = never) {
    const bool prefill = s.request.mode == Mode::ttft, energy = s.request.mode == Mode::energy;
    std::vector<std::vector<Way>> ways_of;
    for (std::size_t u = 0; u < s.request.units.size(); ++u) ways_of.push_back(ways(u));
    Best best;
    std::vector<std::int64_t> taken(problem.rows.size(), 0);
    auto watts = [&](std::set<std::int64_t> at) {
      double sum = energy ? problem.rest->watts : 1;
      for (auto d : at) sum += energy && d >= 0 ? problem.power[static_cast<std::size_t>(d)]->watts : 0;
      return sum;
    };
    auto move = [&](std::size_t u, std::int64_t from, std::int64_t to, bool whole) {
      return problem.move(cost, s.request, u, from, to, whole).seconds;
    };
    std::function<void(std::size_t, std::int64_t, double, double, std::set<std::size_t>, bool)> place =
        [&](std::size_t u, std::int64_t at, double objective, double limited, const std::set<std::size_t>& used,
            bool plain) {
          if (u == ways_of.size()) {
            objective += move(u, at, -1, prefill) * watts({at});
            if (limited + move(u, at, -1, !prefill) > longest) return;
            std::vector<std::int64_t> sum = taken;
            for (std::size_t d : used) {
              const auto fixed = problem.takes(d, problem.fixed[d]);
              for (std::size_t r = 0; r < sum.size(); ++r) sum[r] += fixed[r];
            }
            double bytes = 0;
            for (std::size_t r = 0; r < sum.size(); ++r) {
              if (sum[r] > static_cast<std::int64_t>(problem.rows[r].capacity)) return;
              if (problem.rows[r].within.empty()) bytes += static_cast<double>(sum[r]);
            }
            if (bytes > most_bytes) return;
            best.all = std::min(best.all, objective);
            if (plain) best.plain = std::min(best.plain, objective);
            if (used.size() == 1) best.one = std::min(best.one, objective);
            return;
          }
          for (const Way& w : ways_of[u]) {
            auto now = used;
            now.insert({w.own, w.other});
            for (std::size_t r = 0; r < taken.size(); ++r) taken[r] += w.takes[r];
            const auto to = static_cast<std::int64_t>(w.own), other = static_cast<std::int64_t>(w.other);
            place(u + 1, to,
                  objective + move(u, at, to, prefill) * watts({at, to}) +
                      (prefill ? w.prefill : w.decode) * watts({to, other}),
                  limited + move(u, at, to, !prefill) + (prefill ? w.decode : w.prefill), now,
                  plain && w.own == w.other);
            for (std::size_t r = 0; r < taken.size(); ++r) taken[r] -= w.takes[r];
          }
        };
    place(0, -1, 0, 0, {}, true);
    return best;
  }
};

constexpr Mode modes[] = {Mode::latency, Mode::throughput, Mode::ttft};

TEST(ExpertOptions, CostAndTakeWhatTheDefinitionSays) {
  std::size_t compared = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice{std::mt19937_64(seed)};
    Sample s = sample(dice, modes[seed % 3], 2, seed);
    Reference reference{s};
    const auto options = expert_options(reference.problem, s.p.machine, reference.cost, reference.claims, s.request);
    ASSERT_TRUE(options) << hal::describe(options.error());
    for (std::size_t u = 0; u < s.request.units.size(); ++u)
      for (const Way& w : reference.ways(u)) {
        if (w.own == w.other) continue;
        const auto& of = (*options)[u];
        const auto found = std::find_if(of.begin(), of.end(), [&](const ExpertOption& o) {
          return o.own == w.own && o.other == w.other && o.chosen == w.chosen;
        });
        if (found == of.end()) {  // neither faster nor smaller than all of it on one device
          const Place& whole = reference.problem.places[u][w.own];
          EXPECT_GE(w.decode, whole.decode.seconds * (1 - 1e-9));
          EXPECT_GE(w.prefill, whole.prefill.seconds * (1 - 1e-9));
          continue;
        }
        ++compared;
        EXPECT_NEAR(found->decode.seconds, w.decode, 1e-9 * w.decode);
        EXPECT_NEAR(found->prefill.seconds, w.prefill, 1e-9 * w.prefill);
        auto taken = reference.problem.takes(found->own, found->bytes);
        const auto there = reference.problem.takes(found->other, found->other_bytes);
        for (std::size_t r = 0; r < taken.size(); ++r) EXPECT_EQ(taken[r] + there[r], w.takes[r]);
      }
  }
  EXPECT_GT(compared, 24 * 2 * 6 * 3);
}

TEST(ExpertOptions, ThePlanIsTheBestOfAllPlacements) {
  int shared = 0, faster = 0, saved = 0, none = 0;
  std::set<std::ptrdiff_t> counts;
  for (std::uint64_t seed = 1; seed <= 90; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice{std::mt19937_64(seed)};
    Sample s = sample(dice, modes[seed % 3], 3, seed);
    if (seed > 20)  // a layer has 7 MB
      for (auto& pool : s.p.machine.pools) pool.budget = static_cast<hal::Bytes>(1e6 * dice.real(1, 16));
    s.request.effort = 100;  // enough for a proof
    Reference reference{s};
    const auto best = reference.best();
    const auto plan = make_plan(s.p.machine, s.p.profile, s.request, claim_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    ASSERT_EQ(plan->fits, best.all < never);
    if (!plan->fits) {
      ++none;
      continue;
    }
    const double want = best.one <= best.all * (1 + simple_enough) ? best.one : best.all;
    EXPECT_NEAR(plan->objective, want, 1e-9 * want);
    EXPECT_TRUE(plan->optimal || want > best.all);
    int here = 0;
    for (const PlannedLayer& l : plan->layers) {
      if (!l.experts) continue;
      ++here;
      counts.insert(std::count(l.experts->chosen.begin(), l.experts->chosen.end(), true));
      EXPECT_NE(l.experts->device, l.device);
    }
    shared += here > 0;
    faster += here > 0 && want < best.plain * (1 - simple_enough) && best.plain < never;
    saved += here > 0 && best.plain == never;

    const auto read = plan_from_json(to_json(*plan));
    ASSERT_TRUE(read) << hal::describe(read.error());
    EXPECT_EQ(to_json(*read), to_json(*plan));
    PlanRequest later = s.request;  // whoever runs the plan has no trace
    later.experts = nullptr;
    EXPECT_TRUE(check(*read, s.p.machine, s.p.profile, later, claim_all));
  }
  EXPECT_GT(shared, 20);
  EXPECT_GT(faster, 10) << "by both devices at once, or by what fits";
  EXPECT_GT(saved, 5) << "fits with experts on two devices only";
  EXPECT_GT(none, 0);
  EXPECT_GE(counts.size(), 4u);
}

TEST(ExpertOptions, ThePlanKeepsLimits) {
  int shared = 0, bound = 0, none = 0;
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice{std::mt19937_64(seed)};
    Sample s = sample(dice, seed % 4 == 3 ? Mode::energy : modes[seed % 4], 3, seed);
    for (auto& pool : s.p.machine.pools) pool.budget = static_cast<hal::Bytes>(1e6 * dice.real(8, 30));
    for (auto& d : s.p.profile.devices) d.power = probes::Power{dice.real(5, 50), false, "test"};
    s.p.profile.rest = probes::Power{dice.real(1, 20), false, "test"};
    s.request.effort = 100;
    const auto free = make_plan(s.p.machine, s.p.profile, s.request, claim_all);
    ASSERT_TRUE(free) << hal::describe(free.error());
    if (!free->fits) continue;
    const bool prefill = s.request.mode == Mode::ttft;
    const double longest = dice.real(0.6, 1.02) * (prefill ? free->step_seconds : free->prefill_seconds);
    (prefill ? s.request.limits.step_seconds : s.request.limits.prefill_seconds) = longest;
    if (seed % 3 == 0)
      s.request.limits.bytes = static_cast<hal::Bytes>(dice.real(0.8, 1.2) * static_cast<double>(free->total_bytes));
    Reference reference{s};
    const auto best =
        reference.best(longest, s.request.limits.bytes ? static_cast<double>(*s.request.limits.bytes) : never);
    const auto plan = make_plan(s.p.machine, s.p.profile, s.request, claim_all);
    ASSERT_EQ(plan.has_value(), best.all < never) << (plan ? "" : hal::describe(plan.error()));
    if (!plan) {
      EXPECT_EQ(plan.error().code, hal::Code::unsupported);
      ++none;
      continue;
    }
    const double want = best.one <= best.all * (1 + simple_enough) ? best.one : best.all;
    EXPECT_NEAR(plan->objective, want, 1e-9 * want);
    EXPECT_LE(prefill ? plan->step_seconds : plan->prefill_seconds, longest * (1 + 1e-9));
    const bool any =
        std::any_of(plan->layers.begin(), plan->layers.end(), [](const auto& l) { return l.experts.has_value(); });
    shared += any;
    bound += any && plan->objective > free->objective * (1 + simple_enough);
    const auto read = plan_from_json(to_json(*plan));
    ASSERT_TRUE(read) << hal::describe(read.error());
    PlanRequest later = s.request;
    later.experts = nullptr;
    EXPECT_TRUE(check(*read, s.p.machine, s.p.profile, later, claim_all));
    auto& least = prefill ? later.limits.step_seconds : later.limits.prefill_seconds;
    least = (prefill ? plan->step_seconds : plan->prefill_seconds) * 0.999;
    EXPECT_FALSE(check(*read, s.p.machine, s.p.profile, later, claim_all));
  }
  EXPECT_GT(shared, 15);
  EXPECT_GT(bound, 5) << "a limit is kept by experts on two devices";
  EXPECT_GT(none, 5);
}

TEST(ExpertOptions, OnlyWhereTheyAreAskedForAndCanBe) {
  Dice dice{std::mt19937_64(5)};
  Sample s = sample(dice, Mode::latency, 2, 5);
  auto number = [&](const ClaimFunction& claim = claim_all) {
    CostModel cost(s.p.profile);
    Claims claims(claim);
    const auto p = pose(s.p.machine, cost, claims, s.request).value();
    const auto options = expert_options(p, s.p.machine, cost, claims, s.request);
    EXPECT_TRUE(options) << hal::describe(options.error());
    std::vector<std::size_t> sizes;
    for (const auto& of : *options) sizes.push_back(of.size());
    return sizes;
  };
  const auto all = number();
  EXPECT_GT(all[0], 0u);
  EXPECT_GT(all[1], 0u);
  s.request.pins = {{{0}, "cpu:0"}};
  EXPECT_EQ(number(), (std::vector<std::size_t>{0, all[1]}));
  s.request.pins.clear();
  const auto fixed = [](const hal::Info& info, const hal::Segment& segment) {
    hal::Claim claim = claim_all(info, segment);
    claim.groups[0].fixed_shapes = info.id != "cpu:0";
    return claim;
  };
  EXPECT_EQ(number(fixed), (std::vector<std::size_t>{0, 0}));
  const auto whole_only = [](const hal::Info& info, const hal::Segment& segment) {
    hal::Claim claim = claim_all(info, segment);
    if (info.id != "cpu:0" && segment.nodes.size() == 1) claim.declined.push_back({0, "no single node"});
    return claim;
  };
  for (std::size_t n : number(whole_only)) EXPECT_LE(n, 2 * expert_counts(experts).size()) << "others on cpu:0 only";

  auto strange = std::make_shared<RoutingTrace>(*s.request.experts);
  strange->model_hash = 78;
  s.request.experts = strange;
  auto refused = make_plan(s.p.machine, s.p.profile, s.request, claim_all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, hal::Code::invalid_argument);
  EXPECT_NE(refused.error().message.find("record a trace"), std::string::npos) << refused.error().message;
  s.request.experts = nullptr;
  EXPECT_EQ(number(), (std::vector<std::size_t>{0, 0}));
}

TEST(ExpertOptions, TheJudgeCountsForItself) {
  Dice dice{std::mt19937_64(3)};
  Sample s = sample(dice, Mode::latency, 2, 3);
  for (auto& pool : s.p.machine.pools) pool.budget = 9'000'000;  // 7 MB are a layer
  const auto plan = make_plan(s.p.machine, s.p.profile, s.request, claim_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  ASSERT_TRUE(plan->fits);
  const auto at = std::find_if(plan->layers.begin(), plan->layers.end(), [](const auto& l) { return l.experts; });
  ASSERT_NE(at, plan->layers.end()) << explain(*plan);
  EXPECT_NE(at->detail.find("experts here, the others on " + at->experts->device), std::string::npos) << at->detail;
  const auto u = static_cast<std::size_t>(at - plan->layers.begin());
  auto judged = [&](auto&& change) {
    Plan other = *plan;
    change(other, other.layers[u]);
    const auto ok = check(other, s.p.machine, s.p.profile, s.request, claim_all);
    return ok ? std::string("passed") : ok.error().message;
  };
  auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  EXPECT_EQ(judged([](Plan&, PlannedLayer&) {}), "passed");
  expect(judged([](Plan&, PlannedLayer& l) { l.experts->device = l.device; }), "no other device");
  expect(judged([](Plan&, PlannedLayer& l) { l.experts->device = "gpu:9"; }), "gpu:9");
  expect(judged([](Plan&, PlannedLayer& l) { l.experts->chosen.pop_back(); }), "of a unit with 16");
  expect(judged([](Plan&, PlannedLayer& l) { l.experts->chosen.assign(16, true); }), "both devices need one");
  expect(judged([](Plan&, PlannedLayer& l) { l.experts.reset(); }), "would need");
  expect(judged([](Plan& p, PlannedLayer&) { p.groups = 2, p.sessions = 2; }), "groups of sessions");
  s.request.pins = {{{u}, at->device}};
  expect(judged([](Plan&, PlannedLayer&) {}), "is pinned");
}

}  // namespace
}  // namespace switchyard::scheduler
