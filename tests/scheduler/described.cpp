// Plans for machines that are not here: the described ones of probes/machines.
#include "probes/described.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "models/shapes/shapes.h"
#include "scheduler/plan/problem.h"
#include "scheduler/run/place.h"
#include "tests/support/rules.h"

namespace switchyard::scheduler {
namespace {

std::string read(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<probes::Described> all_described() {
  std::vector<probes::Described> all;
  for (const auto& entry : std::filesystem::directory_iterator("probes/machines")) {
    if (entry.path().extension() != ".json") continue;
    auto d = probes::described_from_json(read(entry.path()));
    EXPECT_TRUE(d) << entry.path() << ": " << hal::describe(d.error());
    if (!d) continue;
    EXPECT_EQ(d->name, entry.path().stem());
    all.push_back(std::move(*d));
  }
  EXPECT_GE(all.size(), 8u);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return all;
}

PlanRequest request(const char* shape, hal::DType weights, std::int64_t context, std::int64_t sessions) {
  models::LoadOptions load;
  load.weights = weights;
  load.no_data = true;
  auto model = models::load_shape(shape, load);
  EXPECT_TRUE(model) << shape;
  StageOptions options;
  options.context = context;
  options.kv = hal::DType::f16;
  options.activations = kernels::Activations::rounded;
  PlanRequest r = request_for(*model, options);
  r.sessions = sessions;
  return r;
}

TEST(Described, EveryMachineGetsAPlanThatPassesTheCheck) {
  const PlanRequest asked = request("h-tiny", hal::DType::q4_k, 4096, 1);
  for (const probes::Described& d : all_described()) {
    auto plan = make_plan(d.machine, d.profile, asked, d.claim);
    ASSERT_TRUE(plan) << d.name << ": " << hal::describe(plan.error());
    EXPECT_TRUE(plan->fits) << d.name;
    EXPECT_LE(plan->gap, 0.02) << d.name;
    EXPECT_TRUE(check(*plan, d.machine, d.profile, asked, d.claim)) << d.name;
    EXPECT_NE(explain(*plan).find("described rates"), std::string::npos) << explain(*plan);
  }
}

TEST(Described, AnNpuThatDeclinesTheScanHasNoMambaLayer) {
  const PlanRequest asked = request("h-tiny", hal::DType::q4_k, 4096, 1);
  bool seen = false;
  for (const probes::Described& d : all_described()) {
    auto plan = make_plan(d.machine, d.profile, asked, d.claim);
    ASSERT_TRUE(plan);
    for (const PlannedLayer& l : plan->layers)
      for (const Refusal& r : l.refused)
        if (r.device == "npu:0" && l.layer == "layer 0 (mamba)") {
          seen = true;
          EXPECT_EQ(r.code, "unsupported");
          EXPECT_NE(r.detail.find("no recurrence over tokens"), std::string::npos) << r.detail;
        }
  }
  EXPECT_TRUE(seen);
}

// Eight sessions of 128K: a hybrid where a transformer of the same size needs five times the memory.
TEST(Described, EightLongSessions) {
  const auto q8 = request("h-micro", hal::DType::q8_0, 128 << 10, 8),
             bf16 = request("h-micro", hal::DType::bf16, 128 << 10, 8),
             dense = request("micro", hal::DType::q8_0, 128 << 10, 8);
  std::set<std::string> hybrid_fits, dense_fits;
  for (const probes::Described& d : all_described()) {
    auto a = make_plan(d.machine, d.profile, q8, d.claim), b = make_plan(d.machine, d.profile, bf16, d.claim),
         c = make_plan(d.machine, d.profile, dense, d.claim);
    ASSERT_TRUE(a && b && c) << d.name;
    EXPECT_LE(a->total_bytes, 14'200'000'000u) << d.name;
    EXPECT_GT(c->total_bytes, 80'000'000'000u) << d.name;
    if (a->fits) hybrid_fits.insert(d.name);
    if (c->fits) dense_fits.insert(d.name);
  }
  EXPECT_EQ(hybrid_fits, (std::set<std::string>{"core-ultra-rtx4060-32", "lunar-lake-32", "rtx-pro-6000-workstation",
                                                "rtx4090-rtx3060-64", "ryzen-7950x-rtx4090-64", "strix-halo-128"}));
  EXPECT_EQ(dense_fits, (std::set<std::string>{"rtx-pro-6000-workstation", "strix-halo-128"}));
}

TEST(Described, NoRuleOfOthersBeatsTheBound) {
  int placed = 0;
  for (const probes::Described& d : all_described()) {
    for (const char* shape : {"h-tiny", "h-small"}) {
      const PlanRequest asked = request(shape, hal::DType::q4_k, 32 << 10, 1);
      CostModel cost(d.profile);
      Claims claims(d.claim);
      auto problem = pose(d.machine, cost, claims, asked);
      ASSERT_TRUE(problem) << d.name;
      const Posed posed = problem->chain(cost, asked, Mode::latency);
      const ChainResult ours = solve(posed.chain);
      test::Roles roles;
      for (const probes::Door* door : problem->devices) roles.device.push_back(door->info.kind);
      for (const Unit& u : asked.units) roles.experts.push_back(u.kind == "experts");
      for (const test::Rule& rule : test::all_rules()) {
        const auto x = rule.place(posed.chain, roles);
        if (!x) continue;
        ++placed;
        EXPECT_TRUE(fits(posed.chain, *x)) << d.name << " " << rule.name;
        EXPECT_TRUE(ours.fits) << d.name << " " << shape << ": " << rule.name << " fits";
        EXPECT_GE(cost_of(posed.chain, *x), ours.bound * (1 - 1e-9)) << d.name << " " << rule.name;
        if (rule.name == std::string("density")) {
          EXPECT_LE(ours.cost, cost_of(posed.chain, *x) * (1 + 1e-9)) << d.name;
        }
      }
    }
  }
  EXPECT_GT(placed, 60);
}

TEST(Described, PowerIsReadWithItsSource) {
  const std::string good = read("probes/machines/lunar-lake-32.json");
  const auto with = [&](const std::string& power) {
    std::string text = good;
    return probes::described_from_json(text.replace(text.find("\"submit_us\": 4"), 0, "\"power\": " + power + ", "));
  };
  const auto d = with(R"({"watts": 17, "source": "lnl"})");
  ASSERT_TRUE(d) << hal::describe(d.error());
  const auto kept = probes::profile_from_json(to_json(d->profile));
  ASSERT_TRUE(kept) << hal::describe(kept.error());
  for (const probes::Profile& profile : {d->profile, *kept}) {
    const auto& power = profile.device("cpu:0")->power;
    ASSERT_TRUE(power);
    EXPECT_EQ(power->watts, 17);
    EXPECT_FALSE(power->measured);
    EXPECT_NE(power->from.find("258V"), std::string::npos);
    EXPECT_FALSE(profile.device("vulkan:0")->power);
    EXPECT_FALSE(profile.rest);
  }
  for (const char* bad :
       {R"({"watts": 0, "source": "lnl"})", R"({"watts": 17, "source": "hearsay"})", R"({"watts": 17})"})
    EXPECT_EQ(with(bad).error().code, hal::Code::io) << bad;
}

TEST(Described, BadDescriptionsAreNamed) {
  const std::string good = read("probes/machines/lunar-lake-32.json");
  ASSERT_TRUE(probes::described_from_json(good));
  const struct {
    std::string from, to, says;
  } cases[] = {
      {"described_machine/1", "described_machine/9", "schema"},
      {"\"peak\": 136.5", "\"peak\": 0", "above zero"},
      {"\"share\": 0.5", "\"share\": 1.5", "at most 1"},
      {"\"usable_gb\": 24", "\"usable_gb\": 240", "no more than there is"},
      {"\"memory_gb\": 32", "\"memory_gb\": 1e11", "memory_gb"},
      {"\"memory_gb\": 32", "\"memory_gb\": 9e6", "memory_gb"},
      {"\"cores\": 8", "\"cores\": 1e300", "cores"},
      {"\"copy_gb_s\": 60", "\"copy_gb_s\": 1e-310", "copy_gb_s"},
      {"\"id\": \"npu:0\"", "\"id\": \"host\"", "no id"},
      {"\"memory_gb\": 32", "\"memory_gb\": -1", "memory_gb"},
      {"\"id\": \"npu:0\"", "\"id\": \"cpu:0\"", "one that is taken"},
      {"\"kind\": \"npu\"", "\"kind\": \"tpu\"", "kind"},
      {"\"source\": \"lnl\"", "\"source\": \"hearsay\"", "source"},
      {"\"submit_us\": 4", "\"submit\": 4", "submit_us"},
      {"\"peak\": 1800", "\"peak\": \"fast\"", "type"},
      {"{", "[", "JSON"},
  };
  for (const auto& c : cases) {
    std::string bad = good;
    const auto at = bad.find(c.from);
    ASSERT_NE(at, std::string::npos) << c.from;
    bad.replace(at, c.from.size(), c.to);
    auto d = probes::described_from_json(bad);
    ASSERT_FALSE(d) << c.to;
    EXPECT_EQ(d.error().code, hal::Code::io);
    EXPECT_NE(d.error().message.find(c.says), std::string::npos) << c.to << ": " << d.error().message;
  }
}

}  // namespace
}  // namespace switchyard::scheduler
