// Limits of a plan, and energy: against every placement tried; what is said where no plan keeps them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <regex>

#include "scheduler/cost/cost.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

constexpr double none = std::numeric_limits<double>::infinity();

// One placement's figures, by definition. Memory is that of a plan with every unit pinned there.
struct Figures {
  std::vector<std::string> on;
  double step = 0, prompt = 0, joules = 0, seconds_elsewhere = 0;
  std::int64_t elsewhere = 0;
  hal::Bytes bytes = 0;
  std::map<std::string, hal::Bytes> pools;
  bool fits = false;
};

struct Case {
  test::Place at;
  PlanRequest request;
  std::vector<std::string> ids;
  std::vector<Figures> all;

  double objective(const Figures& f) const {
    return request.mode == Mode::ttft ? f.prompt : request.mode == Mode::energy ? f.joules : f.step;
  }
};

double watts_of(const Case& c, const std::string& id) { return id.empty() ? 0 : c.at.profile.device(id)->power->watts; }

Figures figures_of(const Case& c, CostModel& cost, const std::vector<std::size_t>& x) {
  Figures f;
  PlanRequest pinned = c.request;
  pinned.limits = {};
  pinned.device.clear();
  pinned.mode = Mode::latency;
  const double rest = c.at.profile.rest->watts;
  const auto moved = [&](const std::string& from, const std::string& to) {
    constexpr double row = 4 * 1024;
    const double once = cost.move(from, to, row).seconds;
    f.step += once;
    f.prompt += 2 * cost.move(from, to, 256 * row).seconds;
    f.joules += once * (rest + watts_of(c, from) + watts_of(c, to));
  };
  for (std::size_t u = 0; u < x.size(); ++u) {
    const std::string& id = c.ids[x[u]];
    const hal::Segment& s = c.request.units[u].segment;
    const double step = cost.unit(id, s, {1, 1, c.request.context - 1, 1})->seconds;
    f.step += step;
    f.prompt += 2 * cost.unit(id, s, {256, 1, 128, 1})->seconds;
    f.joules += step * (rest + watts_of(c, id));
    moved(u ? f.on.back() : "", id);
    f.on.push_back(id);
    pinned.pins.push_back({{u}, id});
    if (id == c.request.device) continue;
    ++f.elsewhere;
    f.seconds_elsewhere += step;
  }
  moved(f.on.back(), "");
  const auto plan = make_plan(c.at.machine, c.at.profile, pinned, test::take_all);
  EXPECT_TRUE(plan) << hal::describe(plan.error());
  f.fits = plan->fits;
  f.bytes = plan->total_bytes;
  for (const PoolUse& u : plan->pools) f.pools[u.pool] = u.bytes;
  return f;
}

// Rates and watts from `seed`, small enough for all placements.
Case make_case(std::uint64_t seed) {
  Case c{test::place("two-cards"), test::model(3, 60), {}, {}};
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> rate(20e9, 60e9), watts(10, 300);
  for (auto& d : c.at.profile.devices) {
    d.read.per_second = rate(random);
    d.compute[kernels::Products::f32].per_second = 40 * rate(random);
    d.power = probes::Power{watts(random), false, "test"};
    c.ids.push_back(d.id);
  }
  c.at.profile.rest = probes::Power{watts(random) / 4, false, "test"};
  c.request.effort = 10;
  c.request.device = c.ids[seed % c.ids.size()];
  c.request.limits.fallbacks = static_cast<std::int64_t>(c.request.units.size());  // as good as none
  c.request.mode = std::array{Mode::latency, Mode::ttft, Mode::energy}[seed % 3];
  CostModel cost(c.at.profile);
  std::vector<std::size_t> x(c.request.units.size(), 0);
  for (;;) {
    c.all.push_back(figures_of(c, cost, x));
    std::size_t u = 0;
    while (u < x.size() && ++x[u] == c.ids.size()) x[u++] = 0;
    if (u == x.size()) return c;
  }
}

// A limit somewhere between the least and the most of any placement, or a little below the least.
class Limiter {
 public:
  Limiter(const Case& c, std::uint64_t seed) : c_(c), random_(seed) {}

  template <class Of>
  double between(Of of, double lowest) {
    double least = none, most = 0;
    for (const Figures& f : c_.all) {
      least = std::min(least, static_cast<double>(of(f)));
      most = std::max(most, static_cast<double>(of(f)));
    }
    return least + std::uniform_real_distribution<double>(lowest, 0.7)(random_) * (most - least);
  }
  bool heads() { return random_() % 2 == 0; }

 private:
  const Case& c_;
  std::mt19937_64 random_;
};

bool within(const Limits& l, const Figures& f) {
  return f.fits && f.step <= l.step_seconds.value_or(none) && f.prompt <= l.prefill_seconds.value_or(none) &&
         f.joules <= l.joules.value_or(none) && f.bytes <= l.bytes.value_or(std::uint64_t{1} << 60) &&
         f.elsewhere <= l.fallbacks.value_or(1000) && f.seconds_elsewhere <= l.fallback_seconds.value_or(none) &&
         std::all_of(l.pools.begin(), l.pools.end(),
                     [&](const auto& pool) { return f.pools.at(pool.first) <= pool.second; });
}

TEST(PlanLimits, TheBestOfAllPlacementsWithinThem) {
  std::map<std::string, int> bound;  // limits that were listed, and of these that cost something
  int impossible = 0, possible = 0;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    Case c = make_case(seed);
    Limiter draw(c, seed + 100);
    for (int round = 0; round < 12; ++round) {
      Limits l;
      l.fallbacks = c.request.limits.fallbacks;
      const double lowest = round % 4 ? 0.05 : -0.02;
      if (draw.heads()) l.step_seconds = draw.between([](const Figures& f) { return f.step; }, lowest);
      if (draw.heads()) l.prefill_seconds = draw.between([](const Figures& f) { return f.prompt; }, lowest);
      if (round % 3 == 0) l.joules = draw.between([](const Figures& f) { return f.joules; }, lowest);
      if (round % 3 == 1)
        l.bytes = static_cast<hal::Bytes>(draw.between([](const Figures& f) { return f.bytes; }, lowest));
      if (round % 3 == 2)
        l.pools = {
            {"host", static_cast<hal::Bytes>(draw.between([](const Figures& f) { return f.pools.at("host"); }, 0))},
            {"vulkan:1",
             static_cast<hal::Bytes>(draw.between([](const Figures& f) { return f.pools.at("vulkan:1"); }, 0))}};
      if (round % 5 == 0) l.fallbacks = round % 4;
      if (round % 5 == 1) l.fallback_seconds = draw.between([](const Figures& f) { return f.seconds_elsewhere; }, 0.01);
      PlanRequest request = c.request;
      request.limits = l;
      double best = none;
      for (const Figures& f : c.all)
        if (within(l, f)) best = std::min(best, c.objective(f));
      const auto plan = make_plan(c.at.machine, c.at.profile, request, test::take_all);
      const std::string where = "seed " + std::to_string(seed) + ", round " + std::to_string(round);
      if (best == none) {
        ++impossible;
        ASSERT_FALSE(plan) << where << "\n" << explain(*plan);
        EXPECT_EQ(plan.error().code, hal::Code::unsupported) << where;
        EXPECT_NE(plan.error().message.find("no plan"), std::string::npos) << plan.error().message;
        continue;
      }
      ++possible;
      ASSERT_TRUE(plan) << where << ": " << hal::describe(plan.error());
      const auto f =
          std::find_if(c.all.begin(), c.all.end(), [&](const Figures& x) { return x.on == plan->devices(); });
      ASSERT_NE(f, c.all.end());
      EXPECT_TRUE(within(l, *f)) << where << "\n" << explain(*plan);
      EXPECT_NEAR(plan->objective, c.objective(*f), 1e-9 * plan->objective) << where;
      EXPECT_LE(plan->objective, best * (1 + simple_enough)) << where;
      EXPECT_LE(plan->objective_bound, best * (1 + 1e-9)) << where;
      EXPECT_NEAR(*plan->step_joules, f->joules, 1e-9 * f->joules) << where;
      EXPECT_NEAR(plan->step_seconds, f->step, 1e-9 * f->step) << where;
      EXPECT_NEAR(plan->prefill_seconds, f->prompt, 1e-9 * f->prompt) << where;
      for (const KeptLimit& k : plan->limits) {
        EXPECT_LE(k.used, k.limit) << where << " " << k.what;
        ++bound[k.what];
        // Without it: the others kept, nothing better by more than is said.
        if (k.better_without > 0) ++bound[k.what + " binds"];
      }
    }
  }
  EXPECT_GT(possible, 100);
  EXPECT_GT(impossible, 40);
  for (const char* what :
       {"step", "prompt", "energy", "memory", "memory host", "memory vulkan:1", "elsewhere", "seconds elsewhere"}) {
    EXPECT_GT(bound[what], 10) << what;
    EXPECT_TRUE(what == std::string("memory host") || bound[what + std::string(" binds")] > 0) << what;
  }
}

// What a limit costs, as the plan says it, is what all placements say.
TEST(PlanLimits, WhatItWouldGainWithoutALimit) {
  int binds = 0, steps = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Case c = make_case(seed);
    c.request.mode = Mode::latency;
    Limiter draw(c, seed);
    c.request.limits.prefill_seconds = draw.between([](const Figures& f) { return f.prompt; }, 0.05);
    const auto plan = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
    if (!plan) continue;
    double free = none;
    for (const Figures& f : c.all)
      if (f.fits) free = std::min(free, f.step);
    const double better = 1 - free / plan->step_seconds;
    const auto prompt =
        std::find_if(plan->limits.begin(), plan->limits.end(), [](const KeptLimit& k) { return k.what == "prompt"; });
    ASSERT_NE(prompt, plan->limits.end());
    EXPECT_NEAR(prompt->better_without, better > simple_enough ? better : 0, 1e-9) << "seed " << seed;
    if (prompt->better_without <= 0) continue;
    ++binds;
    EXPECT_NE(explain(*plan).find("binds: without it "), std::string::npos) << explain(*plan);
    double more = none;
    for (const Figures& f : c.all)
      if (f.fits && f.prompt <= *c.request.limits.prefill_seconds * 1.1) more = std::min(more, f.step);
    const double with_more = 1 - more / plan->step_seconds;
    EXPECT_NEAR(prompt->better_with_more, with_more > simple_enough ? with_more : 0, 1e-9) << "seed " << seed;
    steps += prompt->better_with_more > 0;
  }
  EXPECT_GT(binds, 3);
  EXPECT_GT(steps, 0);
}

// The figure an error ends with: in seconds, joules or bytes.
double figure(const std::string& message, const std::string& after) {
  const std::regex pattern(after + " (?:found )?takes ([0-9.e+]+) (ms|s|mJ|J|MB|GB|units?)");
  std::smatch found;
  if (!std::regex_search(message, found, pattern)) return -1;
  const std::map<std::string, double> units{{"ms", 1e-3}, {"s", 1},    {"mJ", 1e-3}, {"J", 1},
                                            {"MB", 1e6},  {"GB", 1e9}, {"unit", 1},  {"units", 1}};
  return std::stod(found[1]) * units.at(found[2]);
}

TEST(PlanLimits, AnImpossibleOneNamesTheSmallestThatIsPossible) {
  Case c = make_case(3);
  const auto least = [&](auto of) {
    double value = none;
    for (const Figures& f : c.all)
      if (f.fits) value = std::min(value, static_cast<double>(of(f)));
    return value;
  };
  struct Try {
    const char* words;
    const char* after;
    double least;
    std::function<void(Limits&, double)> set;
  };
  const std::vector<Try> tries{
      {"no plan gives the next token in ", "the fastest step", least([](const Figures& f) { return f.step; }),
       [](Limits& l, double x) { l.step_seconds = x; }},
      {"no plan reads a prompt of 512 in ", "the fastest prompt", least([](const Figures& f) { return f.prompt; }),
       [](Limits& l, double x) { l.prefill_seconds = x; }},
      {"no plan makes a step with ", "the least energy", least([](const Figures& f) { return f.joules; }),
       [](Limits& l, double x) { l.joules = x; }},
      {"no plan fits in ", "the smallest", least([](const Figures& f) { return f.bytes; }),
       [](Limits& l, double x) { l.bytes = static_cast<hal::Bytes>(x); }},
  };
  for (const Mode mode : {Mode::latency, Mode::ttft, Mode::energy, Mode::memory, Mode::throughput}) {
    for (const Try& t : tries) {
      PlanRequest request = c.request;
      request.mode = mode;
      request.device.clear();
      request.limits = {};
      const auto plan_with = [&](double limit) {
        t.set(request.limits, limit);
        return make_plan(c.at.machine, c.at.profile, request, test::take_all);
      };
      const auto refused = plan_with(t.least * 0.9);
      ASSERT_FALSE(refused) << to_string(mode) << " " << t.words;
      const std::string& message = refused.error().message;
      EXPECT_EQ(message.find(t.words), 0u) << to_string(mode) << ": " << message;
      const double said = figure(message, t.after);
      EXPECT_GE(said, t.least * (1 - 1e-9)) << message;
      EXPECT_LE(said, t.least * 1.003) << message;
      EXPECT_TRUE(plan_with(said)) << to_string(mode) << ": " << message;
    }
  }
  // Memory too small for the model whatever was asked stays a plan that does not fit.
  PlanRequest request = c.request;
  request.limits.prefill_seconds = 1e-6;
  for (auto& pool : c.at.machine.pools) pool.budget = pool.total = 1'000'000;
  for (auto& chip : c.at.machine.chips)
    for (auto& door : chip.doors) door.budget = door.total = 1'000'000;
  const auto small = make_plan(c.at.machine, c.at.profile, request, test::take_all);
  ASSERT_TRUE(small) << hal::describe(small.error());
  EXPECT_FALSE(small->fits);
}

TEST(PlanLimits, OfSeveralImpossibleOnesEachIsNamedWithTheOthersKept) {
  int tried = 0;
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    const Case c = make_case(seed);
    PlanRequest request = c.request;
    request.mode = Mode::latency;
    request.device.clear();
    double prompt = none, joules = none;
    for (const Figures& f : c.all) prompt = std::min(prompt, f.prompt), joules = std::min(joules, f.joules);
    request.limits = {};
    request.limits.prefill_seconds = prompt * 1.02;
    request.limits.joules = joules * 1.02;
    const auto refused = make_plan(c.at.machine, c.at.profile, request, test::take_all);
    if (refused) continue;
    ++tried;
    const std::string& message = refused.error().message;
    EXPECT_NE(message.find("; with the other limits kept: the fastest prompt"), std::string::npos) << message;
    for (const bool of_prompt : {true, false}) {
      double smallest = none;
      for (const Figures& f : c.all)
        if (of_prompt ? f.joules <= *request.limits.joules : f.prompt <= *request.limits.prefill_seconds)
          smallest = std::min(smallest, of_prompt ? f.prompt : f.joules);
      const double said = figure(message, of_prompt ? "the fastest prompt" : "the least energy");
      EXPECT_GE(said, smallest * (1 - 1e-9)) << message;
      EXPECT_LE(said, smallest * 1.003) << message;
      PlanRequest changed = request;
      (of_prompt ? changed.limits.prefill_seconds : changed.limits.joules) = said;
      EXPECT_TRUE(make_plan(c.at.machine, c.at.profile, changed, test::take_all)) << message;
    }
  }
  EXPECT_GT(tried, 2);
}

TEST(PlanLimits, UnitsElsewhereThanAskedAreCounted) {
  auto p = test::place("laptop");
  PlanRequest request = test::model(24, 400);  // 12 GB; the card has 7
  request.device = "vulkan:1";
  const auto all_there = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_TRUE(all_there);
  EXPECT_FALSE(all_there->fits) << "what it takes goes nowhere else";
  request.limits.fallbacks = 26;
  const auto some = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_TRUE(some) << hal::describe(some.error());
  const auto away = [](const Plan& plan) {
    const auto on = plan.devices();
    return static_cast<std::int64_t>(on.size()) - std::count(on.begin(), on.end(), "vulkan:1");
  };
  EXPECT_GT(away(*some), 0);
  request.limits.fallbacks = 3;
  const auto refused = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_FALSE(refused);
  const auto fewest = static_cast<std::int64_t>(figure(refused.error().message, "the closest to what was asked"));
  EXPECT_GT(fewest, 3) << refused.error().message;
  request.limits.fallbacks = fewest;
  const auto least = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_TRUE(least) << hal::describe(least.error());
  EXPECT_EQ(away(*least), fewest);
  EXPECT_LE(fewest, away(*some));

  // A device that declines half of the units: these are counted as well.
  request = test::model(4, 10);
  request.device = "npu:0";
  const ClaimFunction picky = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = test::take_all(info, s);
    if (info.id == "npu:0" && hal::max_bytes(s.values[s.constants[0].value]) > 7'000'000)
      claim.declined.push_back({0, "too wide"});
    return claim;
  };
  const auto loose = make_plan(p.machine, p.profile, request, picky);
  ASSERT_TRUE(loose) << hal::describe(loose.error());
  std::int64_t declined = 0;
  for (const PlannedLayer& l : loose->layers) declined += l.device != "npu:0";
  ASSERT_GT(declined, 0);
  request.limits.fallbacks = declined - 1;
  EXPECT_FALSE(make_plan(p.machine, p.profile, request, picky));
  request.limits.fallbacks = declined;
  const auto counted = make_plan(p.machine, p.profile, request, picky);
  ASSERT_TRUE(counted) << hal::describe(counted.error());
  EXPECT_EQ(counted->limits.at(0).used, declined);
}

TEST(PlanLimits, ThroughputWithinThem) {
  Case c = make_case(1);
  c.request.device.clear();
  c.request.limits = {};
  c.request.mode = Mode::throughput;
  c.request.sessions = 4;
  const auto free = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(free) << hal::describe(free.error());
  c.request.limits.step_seconds = free->round_seconds * 1.001;
  const auto same = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(same) << hal::describe(same.error());
  EXPECT_EQ(same->devices(), free->devices());
  EXPECT_EQ(same->groups, free->groups);
  ASSERT_EQ(same->limits.size(), 1u);
  EXPECT_EQ(same->limits[0].used, same->round_seconds);
  c.request.limits.step_seconds = free->round_seconds * 0.9;
  const auto none_so_fast = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_FALSE(none_so_fast);
  EXPECT_NEAR(figure(none_so_fast.error().message, "the fastest step"), free->round_seconds, 0.01 * free->round_seconds)
      << none_so_fast.error().message;
  // Groups in flight with a limit on the prompt, and one on memory.
  c.request.limits = {};
  c.request.groups = 2;
  const auto two = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(two) << hal::describe(two.error());
  double fastest = none;
  for (const Figures& f : c.all) fastest = std::min(fastest, f.prompt);
  c.request.limits.prefill_seconds = fastest * 1.0001;
  const auto prompt = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(prompt) << hal::describe(prompt.error());
  EXPECT_LE(prompt->prefill_seconds, *c.request.limits.prefill_seconds);
  EXPECT_GE(prompt->round_seconds, two->round_seconds * (1 - 0.02));
  c.request.limits = {};
  c.request.limits.joules = 1;
  EXPECT_EQ(make_plan(c.at.machine, c.at.profile, c.request, test::take_all).error().code, hal::Code::invalid_argument);
}

TEST(PlanLimits, AsJsonThereAndBack) {
  Case c = make_case(4);
  c.request.limits.prefill_seconds = 10;
  c.request.limits.pools = {{"vulkan:0", 1'000'000'000}};
  const auto plan = make_plan(c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  const std::string text = to_json(*plan);
  const auto back = load_plan(text, c.at.machine, c.at.profile, c.request, test::take_all);
  ASSERT_TRUE(back) << hal::describe(back.error());
  EXPECT_EQ(to_json(*back), text);
  ASSERT_EQ(back->limits.size(), 3u);
  EXPECT_EQ(back->limits[1].what, "memory vulkan:0");
  EXPECT_EQ(back->powers.front().source, "declared");
  EXPECT_EQ(back->step_joules, plan->step_joules);
}

}  // namespace
}  // namespace switchyard::scheduler
