// A plan file that somebody has edited: each rule of check() names what it finds.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/planning.h"

namespace switchyard::scheduler {
namespace {

using nlohmann::json;

// The second card declines the embedding.
hal::Claim picky(const hal::Info& info, const hal::Segment& s) {
  hal::Claim claim = test::take_all(info, s);
  static const hal::Segment embedding = test::unit("embed", -1, 50).segment;
  if (info.id == "vulkan:1" && hal::hash(s) == hal::hash(embedding)) claim.declined.push_back({0, "no kernel for it"});
  return claim;
}

PlanRequest asked(const probes::Machine& machine) {
  PlanRequest request = test::model(8, 100);
  request.pins = {*pin_from("2=cpu:0", request.units, machine)};
  request.sessions = 2;
  request.limits.prefill_seconds = 100;
  return request;
}

TEST(Check, EachRuleNamesTheEditItFinds) {
  auto p = test::place("two-cards");
  const PlanRequest request = asked(p.machine);
  const auto made = make_plan(p.machine, p.profile, request, picky);
  ASSERT_TRUE(made) << hal::describe(made.error());
  const json good = json::parse(to_json(*made));
  struct Edit {
    const char* rule;
    std::function<void(json&)> make;
    const char* words;
    hal::Code code = hal::Code::invalid_argument;
  };
  const std::vector<Edit> edits{
      {"schema", [](json& j) { j["schema"] = "switchyard.plan/1"; }, "schema is switchyard.plan/1", hal::Code::io},
      {"a field is missing", [](json& j) { j.erase("moves"); }, "moves", hal::Code::io},
      {"a field of another type", [](json& j) { j["layers"][0]["seconds"] = "soon"; }, "type", hal::Code::io},
      {"model", [](json& j) { j["model"]["hash"] = "0000000000000001"; },
       "was made for model sample (0000000000000001)"},
      {"machine", [](json& j) { j["machine"] = "feed"; }, "was made for machine feed"},
      {"a unit too few", [](json& j) { j["layers"].erase(9); }, "places 9 units, the model has 10"},
      {"a unit too many", [](json& j) { j["layers"].push_back(j["layers"][9]); }, "places 11 units"},
      {"fewer sessions", [](json& j) { j["sessions"] = 1; }, "keeps memory for 1 sessions"},
      {"a shorter context", [](json& j) { j["context"] = 100; }, "of 100 tokens, asked are 2 of 4096"},
      {"groups", [](json& j) { j["predicted"]["groups"] = 3; }, "has 3 groups of 2 sessions"},
      {"no group", [](json& j) { j["predicted"]["groups"] = 0; }, "has 0 groups"},
      {"a unit's name", [](json& j) { j["layers"][4]["layer"] = "layer 9 (mamba)"; }, "unit 4 is called layer 9"},
      {"a device", [](json& j) { j["layers"][0]["device"] = "cpu:7"; }, "cpu:7, which this machine has not"},
      {"a refusal", [](json& j) { j["layers"][0]["device"] = "vulkan:1"; }, "which refuses it (unsupported): gemm@1"},
      {"a pin", [](json& j) { j["layers"][3]["device"] = "vulkan:0"; }, "is pinned to cpu:0, and placed on vulkan:0"},
      {"seconds below zero", [](json& j) { j["layers"][2]["seconds"] = -1; }, "is predicted to take -1"},
      {"does not fit, and does", [](json& j) { j["fits"] = false; }, "says that it does not fit"},
      {"total bytes", [](json& j) { j["memory"]["total_bytes"] = 5; }, "counts 5 bytes, there are "},
      {"a pool's bytes", [](json& j) { j["memory"]["pools"][0]["bytes"] = 7; }, "counts 7 bytes in host, there are "},
      {"another placement's bytes", [](json& j) { j.erase("limits"), j["layers"][5]["device"] = "cpu:0"; },
       " bytes in host, there are "},
      {"a limit that is not kept", [](json& j) { j["limits"][0]["used"] = 200; },
       "says that it keeps a limit of prompt and takes 200 of 100"},
      {"a limit's figure below zero", [](json& j) { j["limits"][0]["used"] = -1; }, "takes -1 of 100"},
      {"a limit's figure", [](json& j) { j["limits"][0]["used"] = 99; }, "counts 99 s of prompt, there are "},
  };
  for (const Edit& e : edits) {
    json edited = good;
    e.make(edited);
    const auto loaded = load_plan(edited.dump(), p.machine, p.profile, request, picky);
    ASSERT_FALSE(loaded) << e.rule;
    EXPECT_EQ(loaded.error().code, e.code) << e.rule << ": " << loaded.error().message;
    EXPECT_NE(loaded.error().message.find(e.words), std::string::npos) << e.rule << ": " << loaded.error().message;
  }
  EXPECT_TRUE(load_plan(good.dump(), p.machine, p.profile, request, picky));
}

// The file is as it was; what it is held against is another.
TEST(Check, APlanIsHeldAgainstWhatIsAskedAndThereNow) {
  auto p = test::place("two-cards");
  const PlanRequest request = asked(p.machine);
  const auto made = make_plan(p.machine, p.profile, request, picky);
  ASSERT_TRUE(made) << hal::describe(made.error());
  const auto refused = [&](const PlanRequest& r, const probes::Machine& m, const char* words,
                           hal::Code code = hal::Code::invalid_argument) {
    const auto judged = check(*made, m, p.profile, r, picky);
    ASSERT_FALSE(judged) << words;
    EXPECT_EQ(judged.error().code, code) << judged.error().message;
    EXPECT_NE(judged.error().message.find(words), std::string::npos) << judged.error().message;
  };
  PlanRequest other = request;
  other.limits.prefill_seconds = made->prefill_seconds * 0.99;
  refused(other, p.machine, "of prompt, the limit is ");
  other = request;
  other.limits.step_seconds = made->step_seconds * 0.99;
  refused(other, p.machine, "of step, the limit is ");
  other = request;
  other.limits.bytes = made->total_bytes - 1;
  refused(other, p.machine, "of memory, the limit is ");
  other.limits.bytes = made->total_bytes;
  EXPECT_TRUE(check(*made, p.machine, p.profile, other, picky));
  other = request;
  other.limits.pools = {{"cpu:0", 1'000'000}};
  refused(other, p.machine, "of memory cpu:0, the limit is 1 MB");
  other = request;
  other.device = "vulkan:1";
  other.limits.fallbacks = 1;
  refused(other, p.machine, "of elsewhere, the limit is 1 unit");
  other.limits.fallbacks.reset();
  other.limits.fallback_seconds = 1e-6;
  refused(other, p.machine, "of seconds elsewhere, the limit is ");
  other = request;
  other.limits.joules = 1;
  refused(other, p.machine, "nothing is known of", hal::Code::unsupported);
  for (auto& d : p.profile.devices) d.power = probes::Power{1000, false, "test"};
  other.limits.joules = 1e-6;
  refused(other, p.machine, "of energy, the limit is ");
  probes::Machine smaller = p.machine;  // by what somebody else has taken
  for (auto& pool : smaller.pools) pool.budget = 100'000'000;
  refused(request, smaller, "does not fit: ", hal::Code::out_of_memory);
  smaller.host.cpu += "X";
  refused(request, smaller, "was made for machine");
}

TEST(Check, TheRoundOfSeveralGroupsIsCountedAfresh) {
  auto p = test::place("two-cards");
  PlanRequest request = test::model(3, 60);
  request.mode = Mode::throughput;
  request.sessions = 4;
  request.groups = 2;
  for (auto& d : p.profile.devices) {
    d.read.per_second = 40e9;
    for (auto& other : p.profile.devices)
      if (d.id != other.id) p.profile.contention.push_back({d.id, other.id, 1.3, 1.2});
  }
  const auto made = make_plan(p.machine, p.profile, request, test::take_all);
  ASSERT_TRUE(made) << hal::describe(made.error());
  request.limits.step_seconds = made->round_seconds * (1 + 1e-6);
  EXPECT_TRUE(check(*made, p.machine, p.profile, request, test::take_all));
  request.limits.step_seconds = made->round_seconds * (1 - 1e-6);
  const auto judged = check(*made, p.machine, p.profile, request, test::take_all);
  ASSERT_FALSE(judged);
  EXPECT_NE(judged.error().message.find("of step, the limit is "), std::string::npos) << judged.error().message;
}

}  // namespace
}  // namespace switchyard::scheduler
