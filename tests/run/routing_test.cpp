// Recorded routing: the experts that the reference implementation chose, on every device, in any mix of steps.
#include "scheduler/experts/trace.h"
#include "scheduler/run/executor.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using namespace scheduler;
using test::golden;

const std::vector<std::string> sims{"tests/data/sim/kernel.json", "tests/data/sim/graph.json"};

models::Model load(const std::string& name) {
  auto model = models::load(test::oracle_path("models/" + name));
  if (!model) throw std::runtime_error(hal::describe(model.error()));
  return std::move(model).value();
}

// An executor that records into `trace`. Units go to the devices in turn.
std::unique_ptr<Executor> recording(const std::string& name, const std::vector<std::string>& ids, RoutingTrace& trace) {
  models::Model model = load(name);
  std::map<std::string, hal::DeviceRef> open;
  for (const std::string& id : ids) open[id] = test::open_device(id, sims);
  std::vector<hal::DeviceRef> devices;
  for (std::int64_t u = 0; u < models::unit_count(model); ++u)
    devices.push_back(
        open[ids[static_cast<std::size_t>(u) * ids.size() / static_cast<std::size_t>(models::unit_count(model))]]);
  trace = trace_for(model).value();
  ExecutorOptions options;
  options.context = 512;
  options.on_routing = [&trace](const StepRouting& step) {
    auto added = trace.add(step);
    EXPECT_TRUE(added) << hal::describe(added.error());
  };
  auto executor = Executor::open(std::move(model), devices, options);
  if (!executor) throw std::runtime_error(hal::describe(executor.error()));
  return std::move(executor).value();
}

std::vector<float> feed(Executor& executor, Sequence& sequence, std::span<const std::int32_t> tokens) {
  auto fed = executor.feed(sequence, tokens, WantLogits::all);
  if (!fed) throw std::runtime_error(hal::describe(fed.error()));
  return std::move(fed).value();
}

std::vector<std::string> places() {
  auto ids = test::found_devices();
  ids.insert(ids.end(), {"sim:kernel", "sim:graph", "cpu:0,sim:kernel,sim:graph"});
  return ids;
}
struct Routing : testing::TestWithParam<std::string> {
  std::vector<std::string> ids() const {
    std::vector<std::string> list{""};
    for (char c : GetParam()) c == ',' ? list.emplace_back() : list.back() += c;
    return list;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Routing, testing::ValuesIn(places()),
                         [](const auto& i) { return test::as_name(i.param); });

TEST_P(Routing, IsTheReferenceImplementations) {
  for (const char* name : {"moe-hybrid-f32", "moe-hybrid-g2-f32"}) {
    auto g = golden(name);
    const auto want = g.get<std::int32_t>("p7.route_index");  // [layers, 7, top_k]
    RoutingTrace trace;
    auto executor = recording(name, ids(), trace);
    auto sequence = std::move(executor->create_sequence()).value();
    feed(*executor, *sequence, g.tokens(7));
    ASSERT_EQ(trace.tokens(), 7);
    ASSERT_EQ(trace.chosen.size(), want.size());
    for (std::int64_t l = 0, at = 0; l < trace.shape.layers; ++l)
      for (std::int64_t t = 0; t < 7; ++t)
        for (std::uint16_t e : whole(trace).at(t, l))
          ASSERT_EQ(e, want[static_cast<std::size_t>(at++)]) << name << " layer " << l << " token " << t;
  }
}

TEST_P(Routing, ChunksAndMixedStepsGiveEveryTokenItsOwn) {
  auto g = golden("moe-hybrid-f32");
  const auto a = g.tokens(300), b = g.tokens(64);
  RoutingTrace lone, mixed;
  auto executor = recording("moe-hybrid-f32", ids(), lone);
  auto sa = std::move(executor->create_sequence()).value(), sb = std::move(executor->create_sequence()).value();
  feed(*executor, *sa, std::span(a).first(100));
  feed(*executor, *sb, b);
  for (int i = 100; i < 103; ++i) feed(*executor, *sa, std::span(a).subspan(static_cast<std::size_t>(i), 1));
  EXPECT_EQ(lone.step_rows, (std::vector<std::uint32_t>{100, 64, 1, 1, 1}));

  auto other = recording("moe-hybrid-f32", ids(), mixed);
  auto ma = std::move(other->create_sequence()).value(), mb = std::move(other->create_sequence()).value();
  StepItem first[] = {{ma.get(), std::span(a).first(90), WantLogits::last}, {mb.get(), std::span(b).first(1)}};
  StepItem second[] = {{mb.get(), std::span(b).subspan(1)}, {ma.get(), std::span(a).subspan(90, 13)}};
  for (std::span<const StepItem> items : {std::span<const StepItem>(first), std::span<const StepItem>(second)}) {
    auto done = other->step(items);
    ASSERT_TRUE(done) << hal::describe(done.error());
  }
  EXPECT_EQ(mixed.step_rows, (std::vector<std::uint32_t>{91, 76}));
  // Where each token of lone stands in mixed.
  for (std::int64_t i = 0; i < lone.tokens(); ++i) {
    const bool is_a = i < 100 || i >= 164;
    const std::int64_t n = i < 100 ? i : i < 164 ? i - 100 : i - 64;  // in its sequence
    const std::int64_t at = is_a ? (n < 90 ? n : 91 + 63 + n - 90) : n == 0 ? 90 : 90 + n;
    for (std::int64_t l = 0; l < lone.shape.layers; ++l) {
      auto one = whole(lone).at(i, l), same = whole(mixed).at(at, l);
      ASSERT_TRUE(std::equal(one.begin(), one.end(), same.begin())) << "token " << i << " layer " << l;
    }
  }
}

TEST(RoutingOff, RecordingChangesNoLogit) {
  auto g = golden("moe-hybrid-f32");
  RoutingTrace trace;
  auto executor = recording("moe-hybrid-f32", {"cpu:0"}, trace);
  auto sequence = std::move(executor->create_sequence()).value();
  const auto logits = feed(*executor, *sequence, g.tokens(64));
  models::Model model = load("moe-hybrid-f32");
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), test::open_device("cpu:0"));
  ExecutorOptions plain;
  plain.context = 512;
  auto off = Executor::open(std::move(model), devices, plain);
  ASSERT_TRUE(off);
  auto silent = std::move((*off)->create_sequence()).value();
  EXPECT_EQ(feed(**off, *silent, g.tokens(64)), logits);
}

TEST(RoutingOff, AModelWithoutExpertsHasNone) {
  models::Model model = load("dense-hybrid-f32");
  EXPECT_EQ(trace_for(model).error().code, hal::Code::unsupported);
  std::vector<hal::DeviceRef> devices(static_cast<std::size_t>(models::unit_count(model)), test::open_device("cpu:0"));
  ExecutorOptions options;
  options.context = 512;
  options.on_routing = [](const StepRouting&) { FAIL(); };
  auto executor = Executor::open(std::move(model), devices, options);
  ASSERT_TRUE(executor);
  auto sequence = std::move((*executor)->create_sequence()).value();
  EXPECT_FALSE(feed(**executor, *sequence, std::vector<std::int32_t>{1, 2}).empty());
}

}  // namespace
}  // namespace switchyard
