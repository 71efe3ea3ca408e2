// Memory that a plan counts against what an executor made from it takes: at most 2 % too much, never too little.
#include "models/shapes/shapes.h"
#include "scheduler/run/pipeline.h"
#include "scheduler/run/place.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::DeviceReport;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

// A machine of these devices, each with memory of its own, at made-up speeds: what counts here is memory.
struct Bench {
  probes::Machine machine;
  probes::Profile profile;
  std::map<std::string, hal::DeviceRef> devices;

  void add(const std::string& id) {
    devices[id] = test::open_device(id, sims);
    probes::Door door;
    door.info = devices[id]->info();
    door.total = door.budget = 100'000'000'000;
    machine.pools.push_back({id, door.total, door.budget});
    machine.chips.push_back({id, id, door.info.kind, id, false, {door}});
    probes::DeviceProfile& p = profile.devices.emplace_back();
    p.id = id;
    p.read.per_second = 1e10;
    p.compute[kernels::Products::f32].per_second = 1e11;
  }
};

struct Case {
  std::string device, other;  // other: every third layer goes there; empty: one device
  hal::DType weights;
  std::int64_t checkpoints = 0;
};

struct Held : testing::TestWithParam<Case> {};

TEST_P(Held, AsCounted) {
  constexpr std::int64_t sessions = 3;
  const Case& c = GetParam();
  models::LoadOptions load;
  load.weights = c.weights;
  auto model = models::load("h-350m", load);
  ASSERT_TRUE(model) << hal::describe(model.error());
  scheduler::ExecutorOptions options;
  options.context = 2000;  // no whole number of pages
  options.max_rows = 16;
  options.checkpoints = c.checkpoints;
  options.rewind = c.checkpoints ? options.max_rows : 0;
  options.activations = kernels::Activations::rounded;

  Bench bench;
  bench.add(c.device);
  if (!c.other.empty()) bench.add(c.other);
  scheduler::PlanRequest request = scheduler::request_for(*model, options);
  request.sessions = sessions;
  request.mode = scheduler::Mode::throughput;
  request.groups = 1;
  scheduler::Pin elsewhere{{}, c.other.empty() ? c.device : c.other}, here{{}, c.device};
  for (std::size_t u = 0; u < request.units.size(); ++u) (u / 2 % 3 ? here : elsewhere).units.push_back(u);
  request.pins = {here, elsewhere};
  const auto claim = [&](const hal::Info& info, const hal::Segment& s) { return bench.devices.at(info.id)->claim(s); };
  const auto plan = scheduler::make_plan(bench.machine, bench.profile, request, claim);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  ASSERT_TRUE(plan->fits) << plan->shortage;

  auto executor = scheduler::run(
      std::move(*model), *plan,
      [&](const std::string& id) -> hal::Result<hal::DeviceRef> { return bench.devices.at(id); }, options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  const std::vector<DeviceReport> opened = (*executor)->device_report();
  std::vector<std::unique_ptr<scheduler::Sequence>> conversations;
  for (std::int64_t s = 0; s < sessions; ++s) {
    conversations.push_back(std::move((*executor)->create_sequence()).value());
    const std::vector<std::int32_t> prompt(s ? 1 : static_cast<std::size_t>(options.max_rows), 7);  // the largest step
    auto fed = (*executor)->feed(*conversations.back(), prompt, scheduler::WantLogits::last);
    ASSERT_TRUE(fed) << hal::describe(fed.error());
  }
  std::vector<scheduler::StepItem> together;
  const std::int32_t token = 1;
  for (auto& sequence : conversations) together.push_back({sequence.get(), {&token, 1}});
  for (std::int64_t round = 0; round <= c.checkpoints; ++round) {
    ASSERT_TRUE((*executor)->step(together));
    if (c.checkpoints == 0) break;
    for (auto& sequence : conversations) ASSERT_TRUE((*executor)->checkpoint(*sequence));
  }

  const std::vector<DeviceReport> full = (*executor)->device_report();
  ASSERT_EQ(full.size(), bench.devices.size());
  for (std::size_t d = 0; d < full.size(); ++d) {
    const DeviceReport& r = full[d];
    SCOPED_TRACE(r.device);
    EXPECT_EQ(opened[d].weights, r.weights);
    EXPECT_EQ(opened[d].state, r.state) << "state was to be taken at once";
    EXPECT_EQ(opened[d].scratch, r.scratch) << "scratch was to be taken at once";
    hal::Bytes counted = 0;
    for (const scheduler::PoolUse& p : plan->pools)
      if (p.pool == r.device) counted = p.bytes;
    const hal::Bytes taken = r.weights + r.state + r.scratch + r.io;
    EXPECT_GE(counted, taken) << "weights " << r.weights << ", state " << r.state << ", scratch " << r.scratch
                              << ", io " << r.io;
    EXPECT_LE(static_cast<double>(counted), 1.02 * static_cast<double>(taken))
        << "weights " << r.weights << ", state " << r.state << ", scratch " << r.scratch << ", io " << r.io;
    if (r.device == "sim:kernel") {  // it counts what was taken from it, by this executor alone
      EXPECT_EQ((*bench.devices[r.device]->heaps())[0].used, taken);
    }
  }
}

// A small model, so by how much is no question here: devices of fixed shapes, several parts on each, groups in flight.
TEST(HeldByPipeline, NeverLessThanAPipelineTakes) {
  constexpr std::int64_t sessions = 4, groups = 2;
  auto model = models::load(test::oracle_path("models/moe-hybrid-f32"));
  ASSERT_TRUE(model) << hal::describe(model.error());
  scheduler::ExecutorOptions options;
  options.context = 100;
  options.max_rows = 32;
  Bench bench;
  for (const char* id : {"cpu:0", "sim:kernel", "sim:graph"}) bench.add(id);
  scheduler::PlanRequest request = scheduler::request_for(*model, options);
  request.sessions = sessions;
  request.mode = scheduler::Mode::throughput;
  request.groups = groups;
  const std::vector<std::string> ids{"cpu:0", "sim:kernel", "sim:graph"};
  for (std::size_t d = 0; d < 3; ++d) {
    request.pins.push_back({{}, ids[d]});
    for (std::size_t u = 0; u < request.units.size(); ++u)
      if ((u / 2 + 2) % 3 == d) request.pins.back().units.push_back(u);
  }
  const auto claim = [&](const hal::Info& info, const hal::Segment& s) { return bench.devices.at(info.id)->claim(s); };
  const auto plan = scheduler::make_plan(bench.machine, bench.profile, request, claim);
  ASSERT_TRUE(plan) << hal::describe(plan.error());
  EXPECT_EQ(plan->groups, groups);
  auto executor = scheduler::run(
      std::move(*model), *plan,
      [&](const std::string& id) -> hal::Result<hal::DeviceRef> { return bench.devices.at(id); }, options);
  ASSERT_TRUE(executor) << hal::describe(executor.error());
  std::vector<std::unique_ptr<scheduler::Sequence>> all;
  for (std::int64_t s = 0; s < sessions; ++s) all.push_back(std::move((*executor)->create_sequence()).value());
  const std::vector<std::int32_t> prompt(16, 3);  // two of them are the largest step
  std::vector<scheduler::GroupStep> first(groups);
  for (std::size_t s = 0; s < all.size(); ++s)
    first[s / 2].push_back({all[s].get(), prompt, scheduler::WantLogits::last});
  const auto done =
      scheduler::Pipeline::run(**executor, first, [&](std::size_t group, std::int64_t round, const auto&) {
        return round < 2 ? first[group] : scheduler::GroupStep{};
      });
  ASSERT_TRUE(done) << hal::describe(done.error());
  for (const auto& group : done->groups) EXPECT_EQ(group.rounds, 3);
  for (const DeviceReport& r : (*executor)->device_report()) {
    hal::Bytes counted = 0;
    for (const scheduler::PoolUse& p : plan->pools)
      if (p.pool == r.device) counted = p.bytes;
    // A graph has constants of its own, which no claim knows; a profile tells what a measured unit took.
    const hal::Bytes own = bench.devices[r.device]->info().accepts(hal::Format::graph) ? r.weights / 4 : 0;
    EXPECT_GE(counted + own, r.weights + r.state + r.scratch + r.io)
        << r.device << ": weights " << r.weights << ", state " << r.state << ", scratch " << r.scratch << ", io "
        << r.io;
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string& id : test::found_devices()) {
    all.push_back({id, "", hal::DType::q8_0});
    if (id != "cpu:0") all.push_back({"cpu:0", id, hal::DType::q8_0});
  }
  for (hal::DType weights : {hal::DType::q4_k, hal::DType::bf16}) all.push_back({"cpu:0", "", weights});
  all.push_back({"sim:kernel", "", hal::DType::q8_0, 3});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Found, Held, testing::ValuesIn(cases()), [](const auto& i) {
  return test::as_name(i.param.device + "_" + i.param.other + "_" + hal::to_string(i.param.weights) +
                       (i.param.checkpoints ? "_checkpoints" : ""));
});

}  // namespace
}  // namespace switchyard
