// What is this backend's own: replayed runs, host-visible memory, slices of one buffer, weights beyond one binding.
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "backends/all.h"
#include "kernels/dequantize/dequantize.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gemm/gemm.h"
#include "kernels/harness.h"
#include "kernels/library.h"

namespace switchyard::test {
namespace {

using namespace hal;
using namespace kernels;

// The library for a device whose bindings are small.
class SmallBindings final : public Kernels {
 public:
  Bytes limit = 0;  // 0: the device's own
  Claim claim(const Segment& s, const Info& i) const override { return library_.claim(s, i); }
  Result<Lowered> lower(const Segment& s, const Info& i) const override {
    Info small = i;
    if (limit) small.limits.max_binding = limit;
    return library_.lower(s, small);
  }
  Result<Decomposed> decompose(const Segment& s, Arithmetic a) const override { return library_.decompose(s, a); }
  std::vector<std::string> variants(const Segment& s, std::uint32_t n, const Info& i) const override {
    return library_.variants(s, n, i);
  }

 private:
  Library library_;
};

class Opencl : public ::testing::Test {
 protected:
  void SetUp() override {
    for (auto& backend : backends::all({})) {
      if (backend->name() != "opencl") continue;
      auto found = backend->discover();
      if (found.devices.empty()) GTEST_SKIP() << (found.absent.empty() ? "no device" : found.absent[0].detail);
      auto opened = backend->open(found.devices[0].id, {&kernels_, nullptr});
      ASSERT_TRUE(opened) << describe(opened.error());
      device_ = *opened;
      queue_ = device_->create_queue(QueueKind::any).value();
      return;
    }
    GTEST_SKIP() << "this build has no OpenCL";
  }

  Status submit(std::vector<Command> commands, std::shared_ptr<Timing> timing = nullptr) {
    TimelineRef timeline = device_->create_timeline(0).value();
    HAL_CHECK(queue_->submit({{}, std::move(commands), {{timeline, 1}}, std::move(timing)}));
    return timeline->wait(1, std::chrono::minutes(2));
  }

  // y = x W^T + residual over rows 0..8, as a case with its data.
  CaseData gemm_case() const {
    SegmentBuilder b;
    Dim rows = Dim::open(sym_rows, 1, 9);
    auto x = b.input(DType::f32, {rows, Dim::fixed(64)});
    auto w = b.constant(DType::q8_0, {70, 64}, 77, {}, nullptr);
    gemm::Options o;
    o.residual = b.input(DType::f32, {rows, Dim::fixed(70)});
    b.output(gemm::append(b, x, w, o));
    return make_data({"gemm", b.take(), {9}, {}, false, true}, 3);
  }

  void expect_reference(const CaseData& data, const char* what) {
    std::vector<std::vector<double>> reference;
    ASSERT_TRUE(run_reference(data, reference));
    auto run = run_on(*device_, data);
    ASSERT_TRUE(run) << what << ": " << describe(run.error());
    EXPECT_LT(compare(data, reference, *run).error, 2e-5) << what;
  }

  SmallBindings kernels_;
  DeviceRef device_;
  std::shared_ptr<hal::Queue> queue_;
};

TEST_F(Opencl, SlicesOfOneBufferInEveryKindOfMemoryReplayedAndRebound) {
  CaseData data = gemm_case();
  const Segment& s = data.c.segment;
  std::vector<std::vector<double>> reference;
  ASSERT_TRUE(run_reference(data, reference));
  auto program = device_->compile(s, {});
  ASSERT_TRUE(program) << describe(program.error());
  for (Memory memory : {Memory::device, Memory::upload, Memory::readback, Memory::shared}) {
    BufferRef all = device_->allocate({65536, memory, "all"}).value();
    EXPECT_EQ(bool(all->map()), memory != Memory::device);
    const Bytes at[] = {8192, 16384, 32768}, output = 9 * 70 * 4;
    hal::Run run{*program, {{all, at[0], 9 * 64 * 4}, {all, at[1], output}, {all, at[2], output}}, {9}, {}};
    ASSERT_TRUE(all->write(at[0], data.bytes[s.inputs[0]]));
    ASSERT_TRUE(all->write(at[1], data.bytes[s.inputs[1]]));
    std::vector<std::byte> nine(output), one(70 * 4);
    for (int repeat = 0; repeat < 3; ++repeat) {
      ASSERT_TRUE(all->write(at[2], std::vector<std::byte>(output, std::byte{0xff})));
      auto timing = std::make_shared<Timing>();
      timing->want_spans = repeat == 2;
      Status ran = submit({run}, timing);
      ASSERT_TRUE(ran) << describe(ran.error());
      ASSERT_TRUE(all->read(at[2], nine));
      auto values = decode(s.values[s.outputs[0]], data.c.dims, nine);
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_NEAR(values[i], reference[s.outputs[0]][i], 1e-4) << "repeat " << repeat;
      ASSERT_EQ(timing->spans.size(), repeat == 2 ? 1u : 0u);
      for (const Span& span : timing->spans) {
        EXPECT_GE(span.begin, timing->begin);
        EXPECT_LT(span.begin, span.end);
        EXPECT_LE(span.end, timing->end);
      }
    }
    run.dims = {1};  // the same slices at other dims: another recording
    ASSERT_TRUE(submit({run}));
    ASSERT_TRUE(all->read(at[2], one));
    EXPECT_EQ(std::memcmp(one.data(), nine.data(), one.size()), 0);
  }
}

TEST_F(Opencl, CopiesAndFillsBetweenKindsOfMemoryKeepTheirOrder) {
  constexpr Bytes size = 4096;
  std::vector<std::byte> pattern(size), got(size);
  for (std::size_t i = 0; i < size; ++i) pattern[i] = static_cast<std::byte>(i * 7 + i / 256);
  for (Memory from : {Memory::device, Memory::shared})
    for (Memory to : {Memory::device, Memory::shared}) {
      BufferRef a = device_->allocate({size, from, "a"}).value(), b = device_->allocate({size, to, "b"}).value();
      ASSERT_TRUE(a->write(0, pattern));
      ASSERT_TRUE(b->write(0, std::vector<std::byte>(size)));
      const std::uint32_t word = 0xdeadbeef;
      Status done =
          submit({hal::Fill{{a, 400, 40}, word}, Copy{{a, 100, 1000}, {b, 64, 1000}}, hal::Fill{{b, 64, 4}, 5}});
      ASSERT_TRUE(done) << describe(done.error());
      std::vector<std::byte> want(size);
      std::memcpy(&want[64], &pattern[100], 1000);
      for (int i = 0; i < 10; ++i) std::memcpy(&want[64 + 300 + 4 * i], &word, 4);
      const std::uint32_t five = 5;
      std::memcpy(&want[64], &five, 4);
      ASSERT_TRUE(b->read(0, got));
      EXPECT_EQ(got, want);
    }
}

TEST_F(Opencl, WrongSlicesAreRefusedWithNumbers) {
  CaseData data = gemm_case();
  auto program = device_->compile(data.c.segment, {}).value();
  BufferRef all = device_->allocate({65536, Memory::device, "all"}).value();
  const Bytes align = device_->info().limits.align;
  hal::Run run{program, {{all, align / 2, 9 * 64 * 4}, {all, 16384, 9 * 70 * 4}, {all, 32768, 9 * 70 * 4}}, {9}, {}};
  Status misaligned = submit({run});
  ASSERT_FALSE(misaligned);
  EXPECT_NE(misaligned.error().message.find(std::to_string(align)), std::string::npos) << misaligned.error().message;
  run.slices.pop_back();
  Status few = submit({run});
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, Code::invalid_argument);
  Status beyond = submit({Copy{{all, 65000, 1000}, {all, 0, 1000}}});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, Code::invalid_argument);
}

TEST_F(Opencl, AProgramOutlivesTheMemoryItLastRanOn) {
  CaseData data = gemm_case();
  auto held = device_->compile(data.c.segment, {}).value();  // keeps the weights; run_on's own buffers come and go
  for (int i = 0; i < 20; ++i) expect_reference(data, "again");
}

TEST_F(Opencl, QueuesShareAProgram) {
  CaseData data = gemm_case();
  const Segment& s = data.c.segment;
  auto program = device_->compile(s, {}).value();
  auto work = [&](std::vector<std::byte>& out) {
    auto queue = device_->create_queue(QueueKind::any).value();
    auto timeline = device_->create_timeline(0).value();
    hal::Run run{program, {}, {9}, {}};
    for (auto v : {s.inputs[0], s.inputs[1], s.outputs[0]}) {
      BufferRef buffer = device_->allocate({tensor_bytes(s.values[v], data.c.dims), Memory::device, "own"}).value();
      if (!data.bytes[v].empty()) {
        ASSERT_TRUE(buffer->write(0, data.bytes[v]));
      }
      run.slices.push_back({buffer, 0, 0});
    }
    for (std::uint64_t i = 1; i <= 40; ++i) ASSERT_TRUE(queue->submit({{}, {run}, {{timeline, i}}, nullptr}));
    ASSERT_TRUE(timeline->wait(40, std::chrono::minutes(2)));
    out.resize(run.slices[2].buffer->bytes());
    ASSERT_TRUE(run.slices[2].buffer->read(0, out));
  };
  std::vector<std::vector<std::byte>> outs(3);
  std::vector<std::thread> threads;
  for (auto& out : outs) threads.emplace_back([&] { work(out); });
  for (auto& t : threads) t.join();
  EXPECT_FALSE(outs[0].empty());
  EXPECT_EQ(outs[0], outs[1]);
  EXPECT_EQ(outs[0], outs[2]);
}

TEST_F(Opencl, WeightsBeyondOneBindingAreCutAtRows) {
  kernels_.limit = 70000;
  auto expect_split = [&](Segment segment, std::vector<std::int64_t> dims,
                          std::map<std::uint32_t, kernels::Fill> fills) {
    CaseData data = make_data({"split", std::move(segment), std::move(dims), std::move(fills), false, true}, 5);
    auto lowered = kernels_.lower(data.c.segment, device_->info());
    ASSERT_TRUE(lowered);
    std::set<Bytes> offsets;
    for (const Launch& l : lowered->launches)
      for (const Arg& a : l.arguments) offsets.insert(a.offset);
    EXPECT_GT(offsets.size(), 1u) << "nothing was cut";
    expect_reference(data, "split");
  };
  for (DType type : {DType::f32, DType::q4_0, DType::q6_k}) {
    SegmentBuilder b;
    auto x = b.input(DType::f32, {Dim::open(sym_rows, 1, 9), Dim::fixed(256)});
    auto w = b.constant(type, {1000, 256}, 78, {}, nullptr);
    gemm::Options o;
    o.bias = b.input(DType::f32, {Dim::fixed(1000)});
    b.output(gemm::append(b, x, w, o));
    expect_split(b.take(), {9}, {});
  }
  SegmentBuilder table;
  auto t = table.constant(DType::f16, {3000, 100}, 81, {}, nullptr);
  auto rows = table.input(DType::i32, {Dim::open(sym_rows, 1, 5)});
  table.output(embedding::append(table, t, rows, 2.0f));
  expect_split(table.take(), {5}, {{rows, {0, 0, {2999, 0, 255, 256, 1500}}}});
  SegmentBuilder matrix;
  matrix.output(dequantize::append(matrix, matrix.constant(DType::q5_k, {700, 256}, 82, {}, nullptr)));
  expect_split(matrix.take(), {}, {});
}

TEST_F(Opencl, TiedAndSharedWeightsAreOneCopy) {
  SegmentBuilder b;
  auto table = b.constant(DType::q8_0, {64, 64}, 83, {}, nullptr);
  auto rows = b.input(DType::i32, {Dim::open(sym_rows, 1, 5)});
  b.output(gemm::append(b, embedding::append(b, table, rows, 1.0f), table));
  CaseData data = make_data({"tied", b.take(), {5}, {{rows, {0, 0, {1, 2, 3, 4, 5}}}}, false, true}, 5);
  auto first = device_->compile(data.c.segment, {}).value();
  EXPECT_EQ(first->resident(), 64u * (4 + 64));
  Bytes used = device_->heaps().value()[0].used;
  auto second = device_->compile(data.c.segment, {}).value();
  EXPECT_EQ(device_->heaps().value()[0].used, used);
}

TEST_F(Opencl, TooLargeAnAllocationGivesNumbers) {
  auto refused = device_->allocate({Bytes{1} << 50, Memory::device, "huge"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::out_of_memory);
  EXPECT_NE(refused.error().message.find(std::to_string(Bytes{1} << 50)), std::string::npos);
  EXPECT_NE(refused.error().message.find("budget"), std::string::npos);
}

}  // namespace
}  // namespace switchyard::test
