// One layer's experts on two devices at the same time: the hottest here, the others there, the halves added at the end.
#include "kernels/harness.h"
#include "scheduler/experts/choose.h"
#include "scheduler/experts/split.h"
#include "scheduler/run/stage.h"
#include "tests/support/devices.h"
#include "tests/support/golden.h"

namespace switchyard {
namespace {

using namespace scheduler;

// The parts of a split on devices, by hand: a queue, a timeline and buffers of their own for every part.
class Parts {
 public:
  Parts(const kernels::CaseData& unit, const ExpertSplit& split, std::vector<hal::DeviceRef> devices)
      : unit_(unit), split_(split), devices_(std::move(devices)) {
    const auto& dims = unit.c.dims;
    for (std::size_t p = 0; p < split.parts.size(); ++p) {
      const hal::Segment& s = split.parts[p].segment;
      Running& r = running_.emplace_back();
      hal::Device& device = *devices_[p];
      r.queue = device.create_queue(hal::QueueKind::any).value();
      r.done = device.create_timeline(0).value();
      auto program = device.compile(s, {});
      if (!program) throw std::runtime_error(hal::describe(program.error()));
      r.run = {*program, {}, dims, {}};
      for (const auto* list : {&s.inputs, &s.outputs})
        for (auto v : *list) {
          const hal::Bytes bytes = hal::tensor_bytes(s.values[v], dims);
          r.run.slices.push_back({device.allocate({bytes, hal::Memory::device, "part"}).value(), 0, bytes});
        }
      if (const hal::Bytes need = r.run.program->scratch())
        r.run.scratch = {device.allocate({need, hal::Memory::device, "scratch"}).value(), 0, need};
    }
  }

  // Returns at once; waits, on the device, for the parts it needs.
  void submit(std::size_t p) {
    const ExpertSplit::Part& part = split_.parts[p];
    Running& r = running_[p];
    hal::Submission work{{}, {}, {{r.done, 1}}};
    for (std::size_t i = 0; i < part.inputs.size(); ++i) {
      const ExpertSplit::Source& from = part.inputs[i];
      if (from.part == ExpertSplit::whole) {
        ASSERT_TRUE(r.run.slices[i].buffer->write(0, unit_.bytes[unit_.c.segment.inputs[from.index]]));
      } else {
        work.wait.push_back({running_[from.part].done, 1});
        work.commands.push_back(hal::Copy{output(from), r.run.slices[i]});
      }
    }
    work.commands.push_back(r.run);
    ASSERT_TRUE(r.queue->submit(std::move(work)));
  }
  void wait(std::size_t p) {
    auto done = running_[p].done->wait(1, std::chrono::minutes(2));
    ASSERT_TRUE(done) << hal::describe(done.error());
  }
  std::vector<float> result() {
    const hal::Slice slice = output(split_.outputs[0]);
    std::vector<float> values(slice.bytes / 4);
    EXPECT_TRUE(slice.buffer->read(0, std::as_writable_bytes(std::span(values))));
    return values;
  }

 private:
  struct Running {
    std::shared_ptr<hal::Queue> queue;
    hal::TimelineRef done;
    hal::Run run;
  };
  hal::Slice output(const ExpertSplit::Source& from) {
    return running_[from.part].run.slices[split_.parts[from.part].segment.inputs.size() + from.index];
  }
  const kernels::CaseData& unit_;
  const ExpertSplit& split_;
  std::vector<hal::DeviceRef> devices_;
  std::vector<Running> running_;
};

// A layer's experts and shared MLP of a small model, with its own weights; 13 rows.
kernels::CaseData unit_of(const char* name, std::int64_t layer) {
  static std::map<std::string, models::Model> loaded;
  if (!loaded.count(name)) loaded[name] = models::load(test::oracle_path(std::string("models/") + name)).value();
  StageOptions options;
  options.max_rows = 13;
  kernels::Case c{
      "layer",    models::build_segment(loaded[name], 2 * layer + 2, 2 * layer + 3, step_shape(options)).segment,
      {13, 1, 1}, {},
      false,      true};
  return kernels::make_data(c, 7);
}

struct SplitExperts : testing::TestWithParam<std::string> {
  hal::DeviceRef first = test::open_device(GetParam(), {"tests/data/sim/kernel.json"}),
                 second = test::open_device("cpu:0");
  double worst = 0;

  void expect_near(const kernels::CaseData& unit, const std::vector<float>& got) {
    std::vector<std::vector<double>> all;
    ASSERT_TRUE(run_reference(unit, all));
    const auto& want = all[unit.c.segment.outputs[0]];
    ASSERT_EQ(got.size(), want.size());
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      largest = std::max(largest, std::abs(want[i]));
      difference = std::max(difference, std::abs(want[i] - static_cast<double>(got[i])));
    }
    // What expert_gemm may be off on one device: the halves are f32 sums of the same products in another order.
    EXPECT_LT(difference, 2e-5 * largest);
    worst = std::max(worst, difference / largest);
  }
};

std::vector<bool> some(std::uint64_t bits, std::size_t of) {
  std::vector<bool> set;
  for (std::size_t i = 0; i < of; ++i) set.push_back(bits >> i & 1);
  return set;
}

TEST_P(SplitExperts, HalvesRunInAnyOrderAndAtOnce) {
  for (const char* name : {"moe-hybrid-f32", "moe-hybrid-bf16"})
    for (std::uint64_t bits : {0x55u, 0x0fu, 0x92u, 0x7fu, 0x01u}) {
      const kernels::CaseData unit = unit_of(name, 2);
      auto split = split_experts_parallel(unit.c.segment, some(bits, 8));
      ASSERT_TRUE(split) << hal::describe(split.error());
      std::vector<float> before;
      for (int order = 0; order < 3; ++order) {
        Parts parts(unit, *split, {first, first, second, first});
        parts.submit(0);
        // First one half alone to its end, then the other, which therefore cannot have been waited for; then both at
        // once.
        for (std::size_t p : order == 1 ? std::vector<std::size_t>{2, 1} : std::vector<std::size_t>{1, 2}) {
          parts.submit(p);
          if (order < 2) parts.wait(p);
        }
        parts.submit(3);
        parts.wait(3);
        const auto got = parts.result();
        expect_near(unit, got);
        EXPECT_TRUE(order == 0 || got == before) << "the order in time changed a bit";
        before = got;
      }
    }
  std::printf("largest difference: %.1e of the largest value\n", worst);
}

TEST_P(SplitExperts, InARow) {
  const kernels::CaseData unit = unit_of("moe-hybrid-f32", 1);
  for (std::uint64_t bits : {0x07u, 0xa5u}) {
    auto split = split_experts(unit.c.segment, some(bits, 8));
    ASSERT_TRUE(split) << hal::describe(split.error());
    Parts parts(unit, *split, {first, second});
    parts.submit(0);
    parts.submit(1);
    parts.wait(1);
    expect_near(unit, parts.result());
  }
}

// From a count to devices: the experts that the policy keeps are those that the first device holds.
TEST_P(SplitExperts, AChoiceByUseIsWhatIsPlaced) {
  const kernels::CaseData unit = unit_of("moe-hybrid-f32", 0);
  UsageHistogram usage({1, 8, 2});
  usage.counts = {5, 90, 3, 40, 70, 1, 0, 2};
  const std::vector<bool> chosen = choose(ExpertPolicy::frequency, usage, {3 * 24576, {24576}}).of_layer(0);
  EXPECT_EQ(chosen, some(0b11010, 8));
  auto split = split_experts_parallel(unit.c.segment, chosen);
  ASSERT_TRUE(split);
  hal::Bytes bytes = 0;
  for (const hal::Constant& k : split->parts[1].segment.constants)
    if (split->parts[1].segment.values[k.value].shape.size() == 3) bytes += k.data.size();
  EXPECT_EQ(bytes, 3u * 24576);
  Parts parts(unit, *split, {first, first, second, first});
  for (std::size_t p = 0; p < 4; ++p) parts.submit(p);
  parts.wait(3);
  expect_near(unit, parts.result());
}

std::vector<std::string> partners() {
  auto ids = test::found_devices();
  ids.push_back("sim:kernel");
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Devices, SplitExperts, testing::ValuesIn(partners()),
                         [](const auto& i) { return test::as_name(i.param); });

}  // namespace
}  // namespace switchyard
