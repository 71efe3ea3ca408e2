// Measurements on the processor (real) and on simulated devices (speeds known in advance).
#include "probes/measure/measure.h"

#include <gtest/gtest.h>

#include <set>

#include "backends/all.h"
#include "kernels/gemm/gemm.h"
#include "kernels/library.h"
#include "probes/discover/discover.h"
#include "probes/measure/step.h"
#include "tests/support/devices.h"
#include "tests/support/planning.h"

namespace switchyard::probes {
namespace {

const std::string sim_kernel = "tests/data/sim/kernel.json", sim_graph = "tests/data/sim/graph.json";

hal::Segment small_unit(std::int64_t width = 256) {
  kernels::SegmentBuilder b;
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 16), hal::Dim::fixed(width)});
  kernels::gemm::Options o;
  o.residual = x;
  b.output(kernels::gemm::append(b, x, b.constant(hal::DType::q8_0, {width, width}, 1, {}, nullptr), o));
  return b.take();
}

void sane(const Stat& s) {
  EXPECT_GT(s.median, 0);
  EXPECT_GT(s.min, 0);
  EXPECT_LE(s.min, s.median);
  EXPECT_LE(s.median, s.max);
  EXPECT_GE(s.samples, 1);
  EXPECT_GE(s.runs, 1);
  EXPECT_LT(s.max, 100);
}

TEST(Filler, IsFiniteAndRowsDiffer) {
  for (hal::DType type : kernels::weight_types()) {
    hal::Tensor t{type, {hal::Dim::fixed(300), hal::Dim::fixed(512)}};
    auto bytes = filler(t, 1);
    ASSERT_EQ(bytes.size(), hal::max_bytes(t));
    auto row = static_cast<std::ptrdiff_t>(hal::row_bytes(type, 512));
    std::set<std::string> rows;
    for (int r = 0; r < 100; ++r)
      rows.insert(std::string(reinterpret_cast<const char*>(bytes.data()) + r * row, static_cast<std::size_t>(row)));
    EXPECT_EQ(rows.size(), 100u) << hal::to_string(type);
  }
}

// The simulated device tells simulated time: the numbers must come out as its file says.
TEST(Measure, SimulatedSpeedsAreFoundAgain) {
  auto device = test::open_device("sim:kernel", {sim_kernel});
  MeasureOptions options;
  options.quick = true;
  options.device_seconds = 100;  // real time, of which a simulated device knows nothing
  options.units.push_back({"small", small_unit()});
  options.units.push_back({"the same again", small_unit()});
  options.steps = {{1, 1, 0, 1}, {16, 1, 0, 1}};
  std::vector<std::string> told;
  options.progress = [&](std::string_view what, double done) {
    EXPECT_GE(done, 0);
    EXPECT_LE(done, 1);
    told.emplace_back(what);
  };
  auto p = measure_device(*device, options);
  ASSERT_TRUE(p) << hal::describe(p.error());
  EXPECT_EQ(p->id, "sim:kernel");
  EXPECT_EQ(p->driver, device->info().driver);
  EXPECT_EQ(p->build, build_id());
  EXPECT_NEAR(p->read.per_second, 200e9, 0.1 * 200e9) << p->read.with;
  EXPECT_NEAR(p->compute[kernels::Products::f32].per_second, 2000e9, 0.1 * 2000e9)
      << p->compute[kernels::Products::f32].with;
  EXPECT_EQ(p->units.size(), 2u);
  for (const UnitEntry& u : p->units) sane(u.seconds);
  EXPECT_EQ(p->units[0].key, unit_key(small_unit()));
  EXPECT_GT(p->units[0].resident, 0u);
  EXPECT_GE(told.size(), 5u);
}

TEST(Measure, GraphDevicesAreMeasuredAtFixedShapes) {
  auto device = test::open_device("sim:graph", {sim_graph});
  std::vector<std::string> notes;
  std::vector<Step> steps{{1, 1, 0, 1}, {4, 4, 0, 4}, {8, 1, 0, 1}};
  kernels::SegmentBuilder b;  // two nodes: the device takes no smaller group
  auto x = b.input(hal::DType::f32, {hal::Dim::open(kernels::sym_rows, 1, 16), hal::Dim::fixed(64)});
  auto w = b.constant(hal::DType::f32, {64, 64}, 1, {}, nullptr);
  b.output(kernels::gemm::append(b, kernels::gemm::append(b, x, w), w));
  auto entries = measure_unit(*device, {"pair", b.take()}, steps, quick_effort, 10, notes);
  ASSERT_TRUE(entries) << hal::describe(entries.error());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[1].step.rows, 8);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("the device runs one at a time"), std::string::npos) << notes[0];
}

TEST(Measure, TheProcessorIsReal) {
  auto cpu = test::open_device("cpu:0");
  auto launch = measure_launch(*cpu, quick_effort);
  ASSERT_TRUE(launch) << hal::describe(launch.error());
  sane(*launch);
  auto copies = measure_copies(*cpu, quick_effort, 1u << 20);
  ASSERT_TRUE(copies) << hal::describe(copies.error());
  ASSERT_EQ(copies->to_device.points.size(), 3u);
  for (const auto& c : {copies->to_device, copies->to_host})
    for (const auto& point : c.points) sane(point.seconds);
  EXPECT_GT(copies->to_device.gb_s(), 0.01);
  EXPECT_LT(copies->to_device.gb_s(), 2000);
  std::vector<std::string> notes;
  auto entries = measure_unit(*cpu, {"small", small_unit()}, std::vector<Step>{{1, 1, 0, 1}, {16, 1, 0, 1}},
                              quick_effort, 10, notes);
  ASSERT_TRUE(entries) << hal::describe(entries.error());
  ASSERT_EQ(entries->size(), 2u);
  for (const auto& e : *entries) sane(e.seconds);
  EXPECT_TRUE(notes.empty());
}

TEST(Measure, OpsTimedCasesEndUpInTheTable) {
  auto device = test::open_device("sim:kernel", {sim_kernel});
  std::vector<std::string> notes;
  Effort once{1, 1, 1e-6, 1e-6, false};
  auto entries = measure_op(*device, *kernels::find_op("rmsnorm"), once, notes);
  ASSERT_TRUE(entries) << hal::describe(entries.error());
  ASSERT_FALSE(entries->empty());
  for (const OpEntry& e : *entries) {
    EXPECT_EQ(e.op, "rmsnorm@1");
    EXPECT_GT(e.bytes, 0);
    sane(e.seconds);
  }
}

TEST(Measure, AMachineWithItsLinksAndWhatFails) {
  std::vector<hal::BackendRef> all = backends::all({{sim_kernel, "tests/data/sim/faulty_compile.json"}});
  DiscoverOptions here;
  here.in_process = true;
  auto machine = discover(all, here);
  ASSERT_TRUE(machine);
  static const kernels::Library library;
  Devices devices(*machine, all, {&library, nullptr});
  MeasureOptions options;
  options.quick = true;
  std::vector<hal::Absence> failed;
  auto profile = measure_machine(devices, options, failed);
  ASSERT_TRUE(profile) << hal::describe(profile.error());
  EXPECT_NE(profile->device("cpu:0"), nullptr);
  EXPECT_NE(profile->device("sim:kernel"), nullptr);
  EXPECT_NE(profile->link("cpu:0", "sim:kernel"), nullptr);
  EXPECT_NE(profile->link("sim:kernel", "cpu:0"), nullptr);
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].code, "not_measured");
  EXPECT_TRUE(check_fresh(*profile, *machine, build_id()));
  for (const auto& d : profile->devices) EXPECT_TRUE(d.notes.empty()) << d.notes.front();

  Profile known = *profile, fresh;
  known.devices[0].units.push_back({"k", "kept", {1, 1, 0, 1}, 0, 0, {}});
  fresh.machine = profile->machine;
  fresh.devices.push_back(profile->devices[0]);
  fresh.devices[0].units.push_back({"n", "new", {1, 1, 0, 1}, 0, 0, {}});
  merge(known, fresh);
  EXPECT_EQ(known.devices.size(), profile->devices.size());
  EXPECT_EQ(known.devices[0].units.size(), 2u);
  fresh.devices[0].driver = "another";
  merge(known, fresh);
  EXPECT_EQ(known.devices[0].units.size(), 1u) << "numbers of another driver do not live on";
}

}  // namespace
}  // namespace switchyard::probes
