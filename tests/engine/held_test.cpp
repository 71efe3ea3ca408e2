// What an engine holds on a device is what plans count there: weights and state per unit, one scratch per device.
#include "scheduler/run/place.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using scheduler::DeviceReport;
using scheduler::Unit;

constexpr std::int64_t sessions = 3;

struct Counted {
  hal::Bytes weights = 0, state = 0, scratch = 0;
};

// As the planner counts: see scheduler/plan/plan.h.
Counted counted(const std::vector<Unit>& units, const std::vector<hal::DeviceRef>& devices,
                const hal::DeviceRef& device) {
  Counted c;
  for (std::size_t u = 0; u < units.size(); ++u) {
    if (devices[u] != device) continue;
    hal::Bytes scratch = 0;
    for (const hal::Group& g : device->claim(units[u].segment).groups) {
      c.weights += g.resident;
      scratch += g.scratch;
    }
    c.state += sessions * units[u].state + units[u].zeros;
    c.scratch = std::max(c.scratch, scratch);
  }
  return c;
}

struct Held : testing::TestWithParam<const char*> {};

TEST_P(Held, OnEveryDeviceNoMoreThanCounted) {
  auto model = models::load(test::oracle_path(std::string("models/") + GetParam()));
  ASSERT_TRUE(model) << hal::describe(model.error());
  scheduler::EngineOptions options;
  options.context = 500;  // no whole number of pages
  options.sessions = sessions;
  const std::vector<Unit> units = scheduler::units_of(*model, options);
  const std::vector<std::string> files{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};
  const std::vector<hal::DeviceRef> all{test::open_device("cpu:0"), test::open_device("sim:kernel", files),
                                        test::open_device("sim:graph", files)};
  std::vector<hal::DeviceRef> devices;
  for (std::size_t u = 0; u < units.size(); ++u) devices.push_back(all[u / 2 % 3]);  // every device has several stages
  auto engine = scheduler::Engine::open(std::move(*model), devices, options);
  ASSERT_TRUE(engine) << hal::describe(engine.error());
  const std::vector<DeviceReport> opened = (*engine)->device_report();
  ASSERT_EQ(opened.size(), 3u);
  std::vector<std::unique_ptr<scheduler::Session>> conversations;
  for (std::int64_t s = 0; s < sessions; ++s) {
    conversations.push_back(std::move((*engine)->create_session()).value());
    auto fed = (*engine)->feed(*conversations.back(), std::vector<std::int32_t>(500, 7), scheduler::WantLogits::last);
    ASSERT_TRUE(fed) << hal::describe(fed.error());
  }
  const std::vector<DeviceReport> full = (*engine)->device_report();
  for (std::size_t d = 0; d < 3; ++d) {
    SCOPED_TRACE(full[d].device);
    const Counted want = counted(units, devices, all[d]);
    const DeviceReport& r = full[d];
    EXPECT_EQ(opened[d].state, r.state) << "state was to be taken at once";
    EXPECT_EQ(opened[d].scratch, r.scratch) << "scratch was to be taken at once";
    EXPECT_LE(r.state, want.state);
    EXPECT_LE(r.scratch, want.scratch);
    EXPECT_GT(r.io, 0u);
    if (all[d]->info().accepts(hal::Format::graph)) {
      EXPECT_LE(r.weights, want.weights * 5 / 4);  // graphs have constants of their own, which no claim counts
      continue;
    }
    EXPECT_EQ(r.weights, want.weights);
    EXPECT_EQ(r.state, want.state);
    EXPECT_GT(r.scratch, 0u);
    if (r.device == "sim:kernel") {  // it counts what was taken from it, by this engine alone
      EXPECT_EQ((*all[d]->heaps())[0].used, r.weights + r.state + r.scratch + r.io);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Held, testing::Values("moe-hybrid-f32", "dense-hybrid-f32"),
                         [](const auto& i) { return test::as_name(i.param); });

}  // namespace
}  // namespace switchyard
