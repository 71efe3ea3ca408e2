// Experts where a plan puts them: recorded, planned, written, read and run on two devices; the reference's tokens, and
// no more memory than was counted.
#include "scheduler/experts/trace.h"
#include "scheduler/plan/problem.h"
#include "scheduler/run/place.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using namespace scheduler;

struct Rig {
  std::map<std::string, hal::DeviceRef> devices;
  probes::Machine machine;
  probes::Profile profile;
  ExecutorOptions options;

  Rig() {
    options.context = 512;
    options.max_rows = 64;
    for (const char* id : {"cpu:0", "sim:kernel"}) {
      devices[id] = test::open_device(id, {"tests/data/sim/kernel.json"});
      probes::Door door;
      door.info = devices[id]->info();
      machine.chips.push_back({id, id, door.info.kind, id, false, {door}});
      machine.pools.push_back({id, 100'000'000'000, 100'000'000'000});
      probes::DeviceProfile& d = profile.devices.emplace_back();
      d.id = id;
      d.read.per_second = d.stream.per_second = 1e8;  // so slow that experts on both pay for the way
      for (kernels::Products p : kernels::all_products) d.compute[p].per_second = 1e10;
    }
  }
  models::Model load(const std::string& name) const {
    auto model = models::load(test::oracle_path("models/" + name));
    if (!model) throw std::runtime_error(hal::describe(model.error()));
    return std::move(model).value();
  }
  OpenDevice opener() {
    return [this](const std::string& id) -> hal::Result<hal::DeviceRef> { return devices.at(id); };
  }
  ClaimFunction claim() {
    return [this](const hal::Info& info, const hal::Segment& s) { return devices.at(info.id)->claim(s); };
  }
  std::shared_ptr<const RoutingTrace> record(const std::string& name) {
    auto trace = std::make_shared<RoutingTrace>(trace_for(load(name)).value());
    ExecutorOptions recording = options;
    recording.on_routing = [&](const StepRouting& step) { EXPECT_TRUE(trace->add(step)); };
    models::Model model = load(name);
    std::vector<hal::DeviceRef> all(static_cast<std::size_t>(models::unit_count(model)), devices.at("cpu:0"));
    auto executor = Executor::open(std::move(model), all, recording).value();
    auto sequence = executor->create_sequence().value();
    EXPECT_TRUE(executor->feed(*sequence, test::golden(name).tokens(64), WantLogits::none));
    return trace;
  }
};

std::vector<std::int32_t> continued(Executor& executor, const test::Golden& g, int n) {
  auto sequence = executor.create_sequence().value();
  std::vector<float> last = executor.feed(*sequence, g.tokens(n), WantLogits::last).value();
  std::vector<std::int32_t> made;
  while (made.size() < g.greedy(n).size()) {
    made.push_back(greedy(last));
    last = executor.feed(*sequence, {&made.back(), 1}, WantLogits::last).value();
  }
  return made;
}

TEST(PlannedExperts, RunWhereThePlanSaysWithTheGoldensTokens) {
  for (const char* name : {"moe-hybrid-f32", "moe-hybrid-g2-f32"}) {
    SCOPED_TRACE(name);
    Rig rig;
    PlanRequest request = request_for(rig.load(name), rig.options);
    request.experts = rig.record(name);
    const auto plan = make_plan(rig.machine, rig.profile, request, rig.claim());
    ASSERT_TRUE(plan) << hal::describe(plan.error());
    const PlanRequest later = request_for(rig.load(name), rig.options);  // whoever runs the plan has no trace
    const auto read = load_plan(to_json(*plan), rig.machine, rig.profile, later, rig.claim());
    ASSERT_TRUE(read) << hal::describe(read.error());
    auto executor = run(rig.load(name), *read, rig.opener(), rig.options);
    ASSERT_TRUE(executor) << hal::describe(executor.error());

    std::size_t shared = 0;
    for (const PlannedLayer& l : plan->layers) shared += l.experts.has_value();
    EXPECT_GE(shared, 4u) << explain(*plan);
    const auto report = (*executor)->report();
    std::size_t twice = 0;  // stages that both devices worked on
    for (std::size_t i = 1; i < report.size(); ++i) {
      if (report[i].first != report[i - 1].first) continue;
      const PlannedLayer& l = plan->layers[static_cast<std::size_t>(report[i].first)];
      ASSERT_TRUE(l.experts) << l.layer;
      EXPECT_EQ(report[i - 1].device, l.device);
      EXPECT_EQ(report[i].device, l.experts->device);
      ++twice;
    }
    EXPECT_EQ(twice, shared);
    auto g = test::golden(name);
    for (int n : {1, 7, 64}) EXPECT_EQ(continued(**executor, g, n), g.greedy(n)) << n;  // 64: the largest step

    for (const DeviceReport& r : (*executor)->device_report()) {
      hal::Bytes counted = 0;
      for (const PoolUse& p : plan->pools)
        if (p.pool == r.device) counted = p.bytes;
      const hal::Bytes taken = r.weights + r.state + r.scratch + r.io;
      EXPECT_GE(counted, taken) << r.device << ": weights " << r.weights << ", state " << r.state << ", scratch "
                                << r.scratch << ", io " << r.io;
      if (r.device != "sim:kernel") continue;  // which counts what was taken from it
      const hal::Bytes used = (*rig.devices[r.device]->heaps())[0].used, table = 8 * 4;
      EXPECT_LE(used, taken);
      EXPECT_GE(used + shared * table, taken) << "layers with the same experts there share a table";
    }
  }
}

// A layer that is too large for either device: what is counted for it is what its parts take, to the byte.
TEST(PlannedExperts, TakeTheBytesThatAreCounted) {
  Rig rig;
  const std::string name = "moe-hybrid-f32";
  models::Model model = rig.load(name);
  const PlanRequest request = request_for(model, rig.options);
  std::int64_t unit = 0;
  while (models::part_of(model, unit).part != models::Part::feed_forward) ++unit;
  for (const std::vector<bool>& chosen :
       {std::vector<bool>{true, false, false, false, false, false, false, false}, {0, 1, 1, 0, 1, 0, 1, 1}})
    for (bool own : {true, false}) {
      const auto first = rig.devices.at(own ? "sim:kernel" : "cpu:0"),
                 second = rig.devices.at(own ? "cpu:0" : "sim:kernel");
      const auto counted =
          expert_bytes(first->info(), second->info(), request.units[static_cast<std::size_t>(unit)].segment, chosen,
                       request, Claims(rig.claim()));
      ASSERT_TRUE(counted) << hal::describe(counted.error());
      auto shared = SharedExperts::make(first, {second, chosen},
                                        models::build_segment(model, unit, unit + 1, step_shape(rig.options)));
      ASSERT_TRUE(shared) << hal::describe(shared.error());
      const hal::Bytes bytes = 64 * static_cast<hal::Bytes>(model.config.hidden) * 4;
      const hal::Slice rows{first->allocate({bytes, hal::Memory::device, "hidden"}).value(), 0, bytes};
      ASSERT_TRUE(rows.buffer->write(0, std::vector<std::byte>(bytes)));
      const auto done = (*shared)->submit(64, rows, std::nullopt);
      ASSERT_TRUE(done) << hal::describe(done.error());
      ASSERT_TRUE(done->timeline->wait(done->value, std::chrono::minutes(1)));
      for (bool other : {false, true})
        EXPECT_EQ(other ? counted->other : counted->own,
                  (*shared)->resident(other) + (*shared)->scratch(other) + (*shared)->io(other));
    }
}

}  // namespace
}  // namespace switchyard
