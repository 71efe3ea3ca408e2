// Pair plans of real models on described machines.
#include <gtest/gtest.h>

#include "models/shapes/shapes.h"
#include "probes/described.h"
#include "scheduler/cost/cost.h"
#include "scheduler/plan/pair.h"
#include "scheduler/run/place.h"
#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

// Attention, whose time grows with the past: against the sum over every step there is.
TEST(Pair, TimesAreThoseOfAllSteps) {
  models::LoadOptions load;
  load.no_data = true;
  auto model = models::load_shape("350m", load);
  auto d = probes::described_from_json(test::read_text("probes/machines/lunar-lake-32.json"));
  ASSERT_TRUE(model && d);
  PairRequest request;
  request.plan = request_for(*model, {});
  request.plan.prompt = 2600;  // ten full steps and a rest
  request.output = 1001;
  auto plan = make_pair_plan(d->machine, d->profile, request, d->claim);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  CostModel cost(d->profile);
  int grew = 0;
  for (std::size_t u = 0; u < request.plan.units.size(); ++u) {
    const PairedUnit& unit = plan->best.units[u];
    const hal::Segment& segment = request.plan.units[u].segment;
    auto at = [&](const std::string& device, const probes::Step& step) {
      return cost.unit(device, segment, step)->seconds;
    };
    double prefill = 0, decode = 0;
    for (std::int64_t past = 0; past < 2600; past += 256)
      prefill += at(unit.prefill, {std::min<std::int64_t>(256, 2600 - past), 1, past, 1});
    for (std::int64_t past = 2600; past < 3601; ++past) decode += at(unit.decode, {1, 1, past, 1});
    EXPECT_NEAR(unit.prefill_seconds, prefill, 2e-3 * prefill) << unit.unit;
    EXPECT_NEAR(unit.step_seconds * 1001, decode, 5e-3 * decode) << unit.unit;  // KV is read in pages
    grew += at(unit.decode, {1, 1, 3600, 1}) > 1.04 * at(unit.decode, {1, 1, 2600, 1});
  }
  EXPECT_GT(grew, 10);
}

TEST(Pair, OfRealModelsOnDescribedMachines) {
  models::LoadOptions load;
  load.weights = hal::DType::q4_k;
  load.no_data = true;
  auto model = models::load_shape("h-tiny", load);
  ASSERT_TRUE(model);
  StageOptions options;
  options.kv = hal::DType::f16;
  PairRequest request;
  request.plan = request_for(*model, options);
  for (const char* name : {"lunar-lake-32", "old-laptop-8", "rtx4090-rtx3060-64", "strix-halo-128"}) {
    auto d = probes::described_from_json(test::read_text("probes/machines/" + std::string(name) + ".json"));
    ASSERT_TRUE(d);
    auto plan = make_pair_plan(d->machine, d->profile, request, d->claim);
    ASSERT_TRUE(plan) << name << hal::describe(plan.error());
    EXPECT_TRUE(plan->best.fits && plan->single.fits) << name;
    EXPECT_LE(plan->best.seconds, plan->single.seconds * (1 + 1e-12)) << name;
    EXPECT_LE(plan->best.gap, 0.01) << name;
    for (const PoolUse& u : plan->best.pools) EXPECT_LE(u.bytes, u.capacity) << name << " " << u.pool;
    // Too little memory for all on one device, and a graphics part that is better at prompts only.
    EXPECT_EQ(plan->best.split(), name == std::string("old-laptop-8")) << name << explain(*plan);
  }
}

}  // namespace
}  // namespace switchyard::scheduler
