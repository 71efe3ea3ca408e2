// The simulated device itself: memory, clock, claims, faults, discovery.
#include <gtest/gtest.h>

#include <fstream>

#include "backends/sim/sim.h"
#include "probes/discover/discover.h"
#include "tests/graph/one_sequence.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"

namespace switchyard::test {
namespace {

std::string file(const std::string& name) { return "tests/data/sim/" + name + ".json"; }
hal::DeviceRef sim(const std::string& name) { return open_device("sim:" + name, {file(name)}); }
Case small_gemm() {
  Case c = find_op("gemm")->cases()[1];
  fix(c.segment, c.dims);
  return c;
}
void says(const Error& error, const std::string& text) {
  EXPECT_NE(error.message.find(text), std::string::npos) << error.message;
}

TEST(Sim, KernelDeviceRunsLaunches) {
  CaseData data = make_data(find_op("gemm")->cases()[1], 1);
  std::vector<std::vector<double>> reference;
  ASSERT_TRUE(run_reference(data, reference));
  auto run = run_on(*sim("kernel"), data);
  ASSERT_TRUE(run) << describe(run.error());
  EXPECT_LE(compare(data, reference, *run).error, 2e-5);
}

TEST(Sim, LogicalClockFollowsTheDescription) {
  CaseData data = make_data(small_gemm(), 1);
  auto fast = run_on(*sim("kernel"), data), slow = run_on(*sim("slow"), data), again = run_on(*sim("slow"), data);
  ASSERT_TRUE(fast && slow && again);
  EXPECT_EQ(slow->seconds, again->seconds);
  EXPECT_GE(fast->seconds, 5e-6);
  EXPECT_LT(fast->seconds, 6e-6);
  EXPECT_GE(slow->seconds, 100e-6);
  auto device = sim("slow");
  auto a = device->allocate({1000000}), b = sim("kernel")->allocate({1000000});
  auto timeline = device->create_timeline(0);
  auto queue = device->create_queue(QueueKind::any);
  ASSERT_TRUE(a && b && timeline && queue);
  auto timing = std::make_shared<Timing>();
  timing->want_spans = true;
  ASSERT_TRUE((*queue)->submit({{}, {Copy{{*b}, {*a}}, hal::Fill{{*a}, 7}}, {{*timeline, 1}}, timing}));
  ASSERT_TRUE((*timeline)->wait(1, std::chrono::seconds(10)));
  EXPECT_EQ((timing->end - timing->begin).count(), 1000000 + 100000);  // 1 GB/s over the link, then 10 GB/s
  ASSERT_EQ(timing->spans.size(), 2u);
  EXPECT_EQ(timing->spans[1].command, 1u);
  EXPECT_EQ((timing->spans[1].begin - timing->begin).count(), 1000000);
  std::uint32_t word = 0;
  ASSERT_TRUE((*a)->read(999996, std::as_writable_bytes(std::span(&word, 1))));
  EXPECT_EQ(word, 7u);
}

TEST(Sim, MemoryIsCountedAndMayBeHidden) {
  auto device = sim("small");
  auto first = device->allocate({600000, Memory::device, "weights"});
  ASSERT_TRUE(first);
  EXPECT_EQ((*device->heaps())[0].used, 600000u);
  auto second = device->allocate({600000, Memory::device, "cache"});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::out_of_memory);
  says(second.error(), "cache of 600000 bytes: used 600000 of a budget of 1000000 bytes");
  first = Error{Code::internal, "gone"};
  EXPECT_EQ((*device->heaps())[0].used, 0u);
  EXPECT_TRUE(device->allocate({600000}));
  auto hidden = sim("slow")->allocate({64});
  ASSERT_TRUE(hidden);
  auto mapped = (*hidden)->map();
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code, Code::unsupported);
  EXPECT_TRUE((*sim("slow")->allocate({64, Memory::upload}))->map());
  std::byte over[65];
  EXPECT_EQ((*hidden)->read(0, over).error().code, Code::invalid_argument);
}

TEST(Sim, ClaimsWhatTheDescriptionSays) {
  Segment one = small_gemm().segment;
  Claim small = sim("graph")->claim(one);
  ASSERT_EQ(small.declined.size(), 1u);
  EXPECT_NE(small.declined[0].why.find("at least 2 nodes, this one has 1"), std::string::npos) << small.declined[0].why;
  Claim any = sim("graph_any")->claim(one);
  ASSERT_TRUE(any.whole());
  EXPECT_TRUE(any.groups[0].fixed_shapes);
  EXPECT_FALSE(sim("kernel")->claim(one).groups[0].fixed_shapes);
  EXPECT_TRUE(sim("few_ops")->claim(one).whole());
  Claim other = sim("few_ops")->claim(find_op("router_topk")->cases()[0].segment);
  ASSERT_EQ(other.declined.size(), 1u);
  EXPECT_NE(other.declined[0].why.find("takes only: gemm rmsnorm"), std::string::npos) << other.declined[0].why;
  auto made = sim("graph")->compile(one, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::unsupported);
  says(made.error(), "node 0 (gemm@1)");
}

TEST(Sim, ALostDeviceStaysLost) {
  auto device = sim("faulty");
  auto buffer = device->allocate({64});
  auto queue = device->create_queue(QueueKind::any);
  auto timeline = device->create_timeline(0);
  ASSERT_TRUE(buffer && queue && timeline);
  for (std::uint64_t i = 1; i <= 2; ++i)
    ASSERT_TRUE((*queue)->submit({{}, {hal::Fill{{*buffer}, 1}}, {{*timeline, i}}, nullptr}));
  ASSERT_TRUE((*timeline)->wait(2, std::chrono::seconds(10)));
  for (std::uint64_t i = 3; i <= 4; ++i) {
    ASSERT_TRUE((*queue)->submit({{}, {hal::Fill{{*buffer}, 2}}, {{*timeline, i}}, nullptr}));
    auto waited = (*timeline)->wait(i, std::chrono::seconds(10));
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, Code::device_lost);
    says(waited.error(), "submission 3 failed");
  }
  std::uint32_t word = 0;
  ASSERT_TRUE((*buffer)->read(0, std::as_writable_bytes(std::span(&word, 1))));
  EXPECT_EQ(word, 1u);
  EXPECT_EQ(device->allocate({64}).error().code, Code::device_lost);
  EXPECT_EQ(device->compile(small_gemm().segment, {}).error().code, Code::device_lost);
}

TEST(Sim, OtherFaults) {
  auto device = sim("faulty_allocation");
  EXPECT_TRUE(device->allocate({1000000}));
  auto second = device->allocate({64});
  ASSERT_FALSE(second);
  says(second.error(), "lets allocation 2 fail");
  says(device->allocate({1000001}).error(), "above 1000000 bytes");
  EXPECT_TRUE(device->allocate({64}));

  auto made = sim("faulty_compile")->compile(small_gemm().segment, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::internal);

  auto opened = backends::make_sim({file("faulty_open")})->open("sim:faulty_open", {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::unavailable);
  says(opened.error(), "held by another process");

  CaseData data = make_data(small_gemm(), 1);
  std::vector<std::vector<double>> reference;
  ASSERT_TRUE(run_reference(data, reference));
  auto wrong = run_on(*sim("wrong"), data);
  ASSERT_TRUE(wrong) << describe(wrong.error());
  auto y = data.c.segment.outputs[0];
  EXPECT_NEAR(wrong->values[y][0] - reference[y][0], 0.5, 1e-4);
  EXPECT_NEAR(wrong->values[y][1] - reference[y][1], 0, 1e-4);

  auto late = sim("late");
  auto queue = late->create_queue(QueueKind::any);
  auto timeline = late->create_timeline(0);
  ASSERT_TRUE(queue && timeline);
  ASSERT_TRUE((*queue)->submit({{}, {}, {{*timeline, 1}}, nullptr}));
  auto waited = (*timeline)->wait(1, std::chrono::milliseconds(1));
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, Code::timed_out);
  EXPECT_TRUE((*timeline)->wait(1, std::chrono::seconds(10)));
}

TEST(Sim, WithoutKernelsItOnlyMovesBytes) {
  auto device = backends::make_sim({file("kernel")})->open("sim:kernel", {});
  ASSERT_TRUE(device);
  Claim claim = (*device)->claim(small_gemm().segment);
  ASSERT_EQ(claim.declined.size(), 1u);
  EXPECT_NE(claim.declined[0].why.find("without kernels"), std::string::npos);
}

TEST(Sim, RefusesProgramsAndBuffersOfOthers) {
  auto mine = sim("kernel"), other = sim("slow");
  Case c = small_gemm();
  CaseData data = make_data(c, 1);
  auto program = other->compile(data.c.segment, {});
  ASSERT_TRUE(program) << describe(program.error());
  auto queue = mine->create_queue(QueueKind::any);
  auto timeline = mine->create_timeline(0);
  ASSERT_TRUE(queue && timeline);
  ASSERT_TRUE((*queue)->submit({{}, {hal::Run{*program, {}, {}, {}}}, {{*timeline, 1}}, nullptr}));
  auto waited = (*timeline)->wait(1, std::chrono::seconds(10));
  ASSERT_FALSE(waited);
  says(waited.error(), "program of another device");
}

TEST(Sim, DescriptionsAreChecked) {
  const Folder folder;
  const std::string path = folder.file("description.json");
  struct Wrong {
    const char *text, *found;
  };
  for (const Wrong& w :
       std::vector<Wrong>{{"{", "parse error"},
                          {"[]", "must be an object"},
                          {"{}", "name is missing"},
                          {R"({"name": 3})", "name has the wrong type: 3"},
                          {R"({"name": "a", "formats": ["fatbin"]})", "formats is fatbin, allowed are: call, graph"},
                          {R"({"name": "a", "formats": ["call", "graph"]})", "formats must be"},
                          {R"({"name": "a", "kind": "tpu"})", "kind is tpu, allowed are: cpu, igpu"},
                          {R"({"name": "a", "speed": {}})", "speed is no known field"},
                          {R"({"name": "a", "faults": {"submision": 1}})", "faults.submision is no known field"},
                          {R"({"name": "a", "speeds": {"link_gb_s": 0}})", "speeds must be above 0"},
                          {R"({"name": "a", "rounding": "f16"})", "only a device of formats"}}) {
    std::ofstream(path) << w.text;
    Discovery found = backends::make_sim({path})->discover();
    EXPECT_TRUE(found.devices.empty());
    ASSERT_EQ(found.absent.size(), 1u) << w.text;
    EXPECT_EQ(found.absent[0].code, "bad_description");
    EXPECT_NE(found.absent[0].detail.find(w.found), std::string::npos) << found.absent[0].detail;
  }
  Discovery twice =
      backends::make_sim({file("kernel"), file("kernel"), file("missing"), "no/such/file.json"})->discover();
  EXPECT_EQ(twice.devices.size(), 1u);
  ASSERT_EQ(twice.absent.size(), 3u);
  EXPECT_NE(twice.absent[0].detail.find("is taken by an earlier file"), std::string::npos);
  EXPECT_EQ(twice.absent[1].code, "no_device");
  EXPECT_NE(twice.absent[2].detail.find("cannot be read"), std::string::npos);
  auto opened = backends::make_sim({file("kernel")})->open("sim:other", {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::not_found);
  says(opened.error(), "there are: sim:kernel");
}

// Each sits in its own backend, as drivers do.
TEST(Sim, CrashAndHangInDiscoveryAreAbsences) {
  std::vector<hal::BackendRef> all{backends::make_sim({file("crash")}), backends::make_sim({file("kernel")}),
                                   backends::make_sim({file("hang")})};
  probes::DiscoverOptions options;
  options.limit = std::chrono::milliseconds(1500);
  auto machine = probes::discover(all, options);
  ASSERT_TRUE(machine) << describe(machine.error());
  EXPECT_NE(machine->door("sim:kernel"), nullptr);
  std::string codes;
  for (const Absence& a : machine->absent) codes += a.code + " ";
  EXPECT_EQ(codes, "crashed timed_out ");
}

}  // namespace
}  // namespace switchyard::test
