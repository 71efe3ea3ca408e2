// Rounds of speculation against closed forms, limits and simulated rounds; its placement against brute force.
#include "scheduler/plan/speculation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "scheduler/cost/cost.h"
#include "scheduler/experts/trace.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

using test::take_all;

RoundCosts sample(double target, double row, double draft) {
  RoundCosts c;
  c.target = [=](std::int64_t rows) { return target + row * static_cast<double>(rows - 1); };
  c.draft = draft;
  return c;
}

TEST(Speculation, TokensOfARoundAreTheClosedForm) {
  for (double a : {0.1, 0.5, 0.8, 0.99})
    for (int k = 0; k <= 16; ++k)
      EXPECT_NEAR(expected_tokens(a, k), (1 - std::pow(a, k + 1)) / (1 - a), 1e-12) << a << " " << k;
  for (int k = 0; k <= 16; ++k) {
    EXPECT_EQ(expected_tokens(0, k), 1);
    EXPECT_EQ(expected_tokens(1, k), k + 1);
  }
}

TEST(Speculation, RoundsAtTheLimits) {
  RoundCosts c = sample(10, 0.5, 2);
  c.save = 0.1;
  c.restore = 0.3;
  c.replay = true;
  for (double a : {0.0, 0.5, 1.0}) {
    EXPECT_EQ(sequential_seconds(c, a, 0), 10) << "nothing drafted, nothing saved";
    EXPECT_EQ(overlapped_seconds(c, a, 0), 10);
  }
  // All accepted: no way back, and nothing wasted.
  EXPECT_NEAR(sequential_seconds(c, 1, 4), 4 * 2 + 12 + 0.1, 1e-12);
  EXPECT_NEAR(overlapped_seconds(c, 1, 4), std::max(12.0, 5 * 2.0) + 0.1, 1e-12);
  EXPECT_NEAR(overlapped_seconds(c, 1, 8), std::max(14.0, 9 * 2.0) + 0.1, 1e-12);
  // None accepted: always back to one row, and always drafted anew beside it.
  EXPECT_NEAR(sequential_seconds(c, 0, 4), 4 * 2 + 12 + 0.1 + 0.3 + 10, 1e-12);
  EXPECT_NEAR(overlapped_seconds(c, 0, 4), 12 + 0.1 + std::max(10.3, 8.0), 1e-12);
  c.contention = 1.5;
  EXPECT_NEAR(overlapped_seconds(c, 0, 4), 1.5 * 12 + 0.1 + 1.5 * std::max(10.3, 8.0), 1e-12);
  EXPECT_NEAR(sequential_seconds(c, 0, 4), 4 * 2 + 12 + 0.1 + 0.3 + 10, 1e-12) << "nothing side by side";
  c.restore = 0;
  c.replay = false;
  EXPECT_NEAR(overlapped_seconds(c, 0, 4), 1.5 * 12 + 0.1 + 8, 1e-12) << "drafted anew with the target at rest";
}

TEST(Speculation, MoreAcceptanceAndCheaperPartsAreNeverWorse) {
  auto rate = [](const RoundCosts& c, double a, int k, bool overlapped) {
    return expected_tokens(a, k) / (overlapped ? overlapped_seconds : sequential_seconds)(c, a, k);
  };
  for (bool overlapped : {false, true}) {
    int last = 0;
    for (double a = 0; a <= 1; a += 0.05) {
      const RoundCosts c = sample(10, 0.5, 2);
      int best = 0;
      for (int k = 0; k <= 16; ++k) {
        if (rate(c, a, k, overlapped) > rate(c, a, best, overlapped)) best = k;
        EXPECT_LE(rate(c, a, k, overlapped), rate(c, std::min(1.0, a + 0.05), k, overlapped) * (1 + 1e-12)) << a;
        RoundCosts dearer = c;
        for (double* part : {&dearer.draft, &dearer.save, &dearer.restore, &dearer.contention}) {
          *part += 0.5;
          EXPECT_LE(rate(dearer, a, k, overlapped), rate(c, a, k, overlapped) * (1 + 1e-12)) << a << " " << k;
        }
        dearer = c;
        dearer.replay = true;
        EXPECT_LE(rate(dearer, a, k, overlapped), rate(c, a, k, overlapped) * (1 + 1e-12));
      }
      if (!overlapped) {
        EXPECT_GE(best, last) << "the more is accepted, the more is drafted";
      }
      last = best;
    }
    EXPECT_GT(last, 4);
  }
}

// Rounds as they would run, token by token.
double simulated_rate(const RoundCosts& c, double a, int k, bool overlapped, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto accepted = [&] { return std::uniform_real_distribution<double>(0, 1)(random) < a; };
  const double draft = k * c.draft;
  double seconds = overlapped ? draft : 0, tokens = 0;  // the first drafts have nothing to run beside
  for (int round = 0; round < 200000; ++round) {
    int right = 0;
    while (right < k && accepted()) ++right;
    const bool all = right == k;
    const double verify = c.target(k + 1), back = all ? 0 : c.restore + (c.replay ? c.target(right + 1) : 0);
    tokens += right + 1;
    seconds += c.save;
    if (!overlapped)
      seconds += draft + verify + back;
    else if (all && accepted())  // the guess of the target's own token: the next drafts are there
      seconds += c.contention * std::max(verify, draft + c.draft);
    else
      seconds += c.contention * verify + (back > 0 ? c.contention * std::max(back, draft) : draft);
  }
  return tokens / seconds;
}

TEST(Speculation, FormulasAreTheMeanOfSimulatedRounds) {
  std::uint64_t seed = 11;
  for (double a : {0.3, 0.7, 0.9})
    for (int k : {1, 3, 8})
      for (bool overlapped : {false, true})
        for (bool recurrent : {false, true}) {
          RoundCosts c = sample(10, 0.7, 2.5);
          c.contention = 1.2;
          if (recurrent) {
            c.save = 0.4;
            c.restore = 0.6;
            c.replay = true;
          }
          const double rate = expected_tokens(a, k) / (overlapped ? overlapped_seconds : sequential_seconds)(c, a, k);
          EXPECT_NEAR(simulated_rate(c, a, k, overlapped, ++seed) / rate, 1, 0.01)
              << "a " << a << " k " << k << (overlapped ? " overlapped" : " sequential") << " seed " << seed;
        }
}

TEST(Speculation, AcceptanceFromRecords) {
  auto measured = acceptance_from("# of a run\n1,1\n2,1\n3,0\n4,0\n1,0\r\n\n1,1\n2,0\n");
  ASSERT_TRUE(measured) << hal::describe(measured.error());
  EXPECT_EQ(measured->tried, 6);
  EXPECT_EQ(measured->accepted, 3);
  EXPECT_DOUBLE_EQ(measured->rate(), 0.5);
  ASSERT_EQ(measured->at.size(), 3u);
  EXPECT_DOUBLE_EQ(measured->at[0], 2.0 / 3);
  EXPECT_DOUBLE_EQ(measured->at[1], 0.5);
  EXPECT_DOUBLE_EQ(measured->at[2], 0);
  for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{{"", "no drafted tokens"},
                                                                                   {"# only\n", "no drafted tokens"},
                                                                                   {"1,1\n3,1\n", "line 2: position 3"},
                                                                                   {"2,1\n", "line 1: position 2"},
                                                                                   {"1,0\n2,1\n", "behind a refused"},
                                                                                   {"1,2\n", "expected POSITION"},
                                                                                   {"0,1\n", "position 0"},
                                                                                   {"-1,1\n", "position -1"},
                                                                                   {"x\n", "'x'"},
                                                                                   {"1\n", "'1'"}}) {
    auto bad = acceptance_from(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(bad.error().code, hal::Code::io);
    EXPECT_NE(bad.error().message.find(word), std::string::npos) << bad.error().message;
  }
  // What is drawn with a probability is measured as that.
  std::mt19937_64 random(5);
  std::string text;
  for (int round = 0; round < 20000; ++round)
    for (int k = 1; k <= 4; ++k) {
      const bool taken = std::uniform_real_distribution<double>(0, 1)(random) < 0.7;
      text += std::to_string(k) + (taken ? ",1\n" : ",0\n");
      if (!taken) break;
    }
  EXPECT_NEAR(acceptance_from(text)->rate(), 0.7, 0.01);
}

SpeculationRequest request_of(double target_megabytes, double draft_megabytes) {
  SpeculationRequest r;
  r.target = test::model(8, target_megabytes);
  r.draft = test::model(2, draft_megabytes);
  r.draft.model = "draft";
  r.acceptance = 0.8;
  return r;
}

TEST(Speculation, TheBestOfAllPlacesAndLengths) {
  int on = 0, apart = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto real = [&](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); };
    auto p = test::place(seed % 2 ? "two-cards" : "laptop");
    for (auto& d : p.profile.devices) d.read.per_second *= std::exp(real(-1, 1));
    auto request = request_of(real(100, 600), real(5, 60));
    request.acceptance = real(0, 1);
    request.contention = real(1, 1.5);
    if (seed % 3 == 0)
      for (auto& u : request.target.units) u.zeros = u.state;
    auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    auto alone = make_plan(p.machine, p.profile, request.target, take_all);
    ASSERT_TRUE(alone);
    EXPECT_DOUBLE_EQ(plan->alone_seconds, alone->step_seconds);
    EXPECT_EQ(plan->recurrent, seed % 3 == 0);
    double best = 0;
    for (const SpeculationPlacement& place : plan->placements) {
      if (!place.impossible.empty()) continue;
      ASSERT_EQ(place.target_seconds.size(), 17u);
      auto t = [&](int rows) { return place.target_seconds[static_cast<std::size_t>(rows - 1)]; };
      double here = 0;
      const double a = request.acceptance, c = request.contention;
      for (int k = 0; k <= 16; ++k) {  // written out again
        const double tokens = (1 - std::pow(a, k + 1)) / (1 - a);
        double in_turn = k ? k * place.draft_seconds + t(k + 1) : t(1), beside = 1e300;
        for (int j = 0; j < k && plan->recurrent; ++j) in_turn += std::pow(a, j) * (1 - a) * t(j + 1);
        if (place.apart && k > 0) {
          beside = std::pow(a, k + 1) * c * std::max(t(k + 1), (k + 1) * place.draft_seconds) +
                   (1 - std::pow(a, k + 1)) * c * t(k + 1);
          for (int j = 0; j < k; ++j)
            beside += std::pow(a, j) * (1 - a) *
                      (plan->recurrent ? c * std::max(t(j + 1), k * place.draft_seconds) : k * place.draft_seconds);
          beside += std::pow(a, k) * (1 - a) * k * place.draft_seconds;
        }
        here = std::max(here, tokens * plan->alone_seconds / std::min(in_turn, beside));
      }
      EXPECT_NEAR(place.best.speedup, here, 1e-9 * here);
      best = std::max(best, here);
      apart += place.apart;
    }
    ASSERT_LT(plan->chosen, plan->placements.size());
    EXPECT_NEAR(plan->placements[plan->chosen].best.speedup, best, 1e-9 * best);
    EXPECT_EQ(plan->on, best >= speculation_pays && plan->placements[plan->chosen].best.drafted > 0);
    on += plan->on;
  }
  EXPECT_GT(on, 5);
  EXPECT_LT(on, 25);
  EXPECT_GT(apart, 20);
}

TEST(Speculation, AVerificationIsAStepOfSoManyRows) {
  auto p = test::place("two-cards");
  p.machine.chips.resize(1);  // the CPU
  for (auto products : {kernels::Products::f32, kernels::Products::int8})
    p.profile.devices[0].compute[products].per_second = 200e9;  // so that rows tell
  auto request = request_of(100, 10);
  auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  CostModel cost(p.profile);
  for (std::int64_t rows = 1; rows <= 17; ++rows) {
    const double bytes = 4096.0 * static_cast<double>(rows);
    double seconds = cost.move("", "cpu:0", bytes).seconds + cost.move("cpu:0", "", bytes).seconds;
    for (const Unit& u : request.target.units)
      seconds += cost.unit("cpu:0", u.segment, {rows, 1, request.target.context - 1, rows})->seconds;
    EXPECT_NEAR(plan->placements[0].target_seconds[static_cast<std::size_t>(rows - 1)], seconds, 1e-12) << rows;
  }
  EXPECT_GT(plan->placements[0].target_seconds[16], 2 * plan->placements[0].target_seconds[0]);
}

TEST(Speculation, BothModelsFitTogetherOrNot) {
  auto p = test::place("two-cards");
  p.machine.chips.resize(1);  // the CPU
  auto request = request_of(100, 10);
  for (auto& u : request.target.units) u.zeros = u.state;
  auto with_slot = request.target;
  for (auto& u : with_slot.units) u.zeros *= 2;
  auto target = make_plan(p.machine, p.profile, with_slot, take_all),
       draft = make_plan(p.machine, p.profile, request.draft, take_all);
  ASSERT_TRUE(target && draft);
  for (int spare : {0, -1}) {
    for (auto& pool : p.machine.pools)
      if (pool.name == "host") pool.budget = target->total_bytes + draft->total_bytes + static_cast<hal::Bytes>(spare);
    auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    EXPECT_EQ(plan->chosen < plan->placements.size(), spare == 0);
    for (const auto& place : plan->placements) {
      EXPECT_EQ(place.impossible.empty(), spare == 0);
      if (spare) {
        EXPECT_NE(place.impossible.find("does not fit: host would need"), std::string::npos);
      }
    }
    EXPECT_NE(explain(*plan).find(spare ? "cannot be placed together" : "speculat"), std::string::npos);
  }
}

TEST(Speculation, TheDraftMayChooseFirst) {
  auto p = test::place("two-cards");
  auto request = request_of(400, 150);  // the draft is larger than what whole layers leave
  for (auto& pool : p.machine.pools)
    if (pool.name == "vulkan:0") pool.budget = 2'000'000'000;  // about half of the target
  for (auto& d : p.profile.devices)
    if (d.id != "vulkan:0") d.read.per_second /= 10;
  auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  auto on_card = [](const SpeculationPlacement& q, bool first) {
    return q.target_first == first && q.draft == std::vector<std::string>{"vulkan:0"};
  };
  const auto& all = plan->placements;
  auto after = std::find_if(all.begin(), all.end(), [&](const auto&q) { return on_card(q, true); }),
       before = std::find_if(all.begin(), all.end(), [&](const auto&q) { return on_card(q, false); });
  ASSERT_NE(after, all.end());
  ASSERT_NE(before, all.end());
  EXPECT_NE(after->impossible.find("vulkan:0 would need"), std::string::npos) << after->impossible;
  EXPECT_TRUE(before->impossible.empty()) << before->impossible;
  EXPECT_FALSE(before->apart) << "parts of the target are there too";
  EXPECT_GT(before->target_seconds[0], plan->alone_seconds * 1.05) << "the draft has taken its room";
}

TEST(Speculation, TheWayBackThroughTheHostIsCharged) {
  auto p = test::place("two-cards");
  auto request = request_of(200, 5);
  for (auto& u : request.target.units) u.zeros = u.state;
  request.acceptance = 0.6;
  double last = 0;
  for (Rollback rollback : {Rollback::host, Rollback::slots, Rollback::rows}) {
    request.rollback = rollback;
    auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
    ASSERT_TRUE(plan);
    ASSERT_LT(plan->chosen, plan->placements.size());
    const auto& place = plan->placements[plan->chosen];
    EXPECT_GE(place.best.speedup, last) << to_string(rollback);
    last = place.best.speedup;
    EXPECT_EQ(place.save_seconds > 0, rollback == Rollback::host);
    EXPECT_EQ(place.restore_seconds > 0, rollback == Rollback::host);
    request.more_per_round = 1;
    auto slow = make_speculation_plan(p.machine, p.profile, request, take_all);
    EXPECT_FALSE(slow->on);
    EXPECT_NE(explain(*slow).find("speculation stays off"), std::string::npos);
    request.more_per_round = 0;
  }
  EXPECT_EQ(*rollback_from("host"), Rollback::host);
  EXPECT_FALSE(rollback_from("disk"));
}

TEST(Speculation, WhatMakesNoSenseIsNamed) {
  auto p = test::place("two-cards");
  const double nothing = std::nan("");
  auto refused = [&](auto change, const char* word) {
    auto request = request_of(50, 5);
    change(request);
    auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
    ASSERT_FALSE(plan) << word;
    EXPECT_EQ(plan.error().code, hal::Code::invalid_argument);
    EXPECT_NE(plan.error().message.find(word), std::string::npos) << plan.error().message;
  };
  for (double a : {-0.1, 1.1, nothing})
    refused([&](SpeculationRequest& r) { r.acceptance = a; }, "a probability, 0 to 1");
  for (double c : {0.5, nothing}) refused([&](SpeculationRequest& r) { r.contention = c; }, "at least 1");
  for (double s : {-1.0, nothing}) refused([&](SpeculationRequest& r) { r.more_per_round = s; }, "more per round");
  refused([&](SpeculationRequest& r) { r.target.experts = std::make_shared<const RoutingTrace>(); }, "experts on two");
  for (std::int64_t k : {-1, 65}) refused([&](SpeculationRequest& r) { r.most = k; }, "expected 0 to 64");
  refused([](SpeculationRequest& r) { r.target.sessions = 2; }, "one session");
  refused([](SpeculationRequest& r) { r.draft.units.clear(); }, "without units");
  auto too_large = make_speculation_plan(p.machine, p.profile, request_of(20000, 5), take_all);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, hal::Code::out_of_memory);
  // Refused by all but the CPU: a line for each.
  auto picky = [](const hal::Info& info, const hal::Segment& s) {
    hal::Claim claim = take_all(info, s);
    if (info.id != "cpu:0") claim.declined.push_back({0, "no kernel for it"});
    return claim;
  };
  auto plan = make_speculation_plan(p.machine, p.profile, request_of(50, 5), picky);
  ASSERT_TRUE(plan);
  int refusals = 0;
  for (const auto& place : plan->placements) refusals += place.impossible.find("no kernel for it") != std::string::npos;
  EXPECT_EQ(refusals, 2);
}

TEST(Speculation, AsTextAndAsJson) {
  auto p = test::place("two-cards");
  auto request = request_of(300, 5);
  auto plan = make_speculation_plan(p.machine, p.profile, request, take_all);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->on);
  const std::string text = explain(*plan);
  EXPECT_NE(text.find("speculate: "), std::string::npos) << text;
  const auto j = nlohmann::json::parse(to_json(*plan));
  EXPECT_EQ(j["schema"], "switchyard.speculation/1");
  EXPECT_TRUE(j["on"]);
  EXPECT_TRUE(j["rollback"].is_null()) << "no recurrent state";
  EXPECT_EQ(j["chosen"], plan->chosen);
  EXPECT_EQ(j["placements"].size(), plan->placements.size());
  EXPECT_DOUBLE_EQ(j["placements"][plan->chosen]["best"]["speedup"], plan->placements[plan->chosen].best.speedup);
  EXPECT_EQ(j["by_drafted"][0]["drafted"], 0);
}

}  // namespace
}  // namespace switchyard::scheduler
