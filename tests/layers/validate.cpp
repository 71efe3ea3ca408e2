// hal/layers/validate.h: each kind of a caller's bug is found, with the numbers, and right use passes.
#include "hal/layers/validate.h"

#include <gtest/gtest.h>

#include <thread>

#include "backends/all.h"
#include "kernels/gemm/gemm.h"
#include "kernels/library.h"

namespace switchyard::hal {
namespace {

const kernels::Library library;

DeviceRef open_plain() {
  for (auto& backend : backends::all({}))
    if (auto device = backend->open("cpu:0", {&library, nullptr})) return *device;
  throw std::runtime_error("no cpu:0");
}

class Validate : public ::testing::Test {
 protected:
  DeviceRef device = validate(open_plain(), [this](const Error& e) { reports.push_back(e.message); });
  std::vector<std::string> reports;
  std::shared_ptr<Queue> queue = *device->create_queue(QueueKind::any);
  TimelineRef timeline = *device->create_timeline(0);
  std::uint64_t submitted = 0;

  // x [1..4, 8] times a constant [8, 8], twice, so that there is scratch.
  static Segment segment() {
    kernels::SegmentBuilder b;
    auto data = std::make_shared<std::vector<std::byte>>(8 * 8 * 4);
    auto x = b.input(DType::f32, {Dim::open(kernels::sym_rows, 1, 4), Dim::fixed(8)});
    auto w = b.constant(DType::f32, {8, 8}, 1, *data, data);
    b.output(kernels::gemm::append(b, kernels::gemm::append(b, x, w), w));
    return b.take();
  }
  BufferRef buffer(Bytes bytes, Device& on) { return *on.allocate({bytes, Memory::device, "test"}); }
  hal::Run right() {
    auto program = *device->compile(segment(), {});
    auto scratch = buffer(program->scratch(), *device);
    return {program, {{buffer(128, *device)}, {buffer(128, *device)}}, {4}, {scratch}};
  }
  Status submit(Command command) {
    return queue->submit({{}, {std::move(command)}, {{timeline, ++submitted}}, nullptr});
  }

  void finds(const std::string& words, const Status& status) {
    ASSERT_FALSE(status) << "not found: " << words;
    EXPECT_EQ(status.error().code, Code::invalid_argument);
    EXPECT_NE(status.error().message.find(words), std::string::npos) << status.error().message;
    ASSERT_FALSE(reports.empty());
    EXPECT_EQ(reports.back(), status.error().message);
    --submitted;
  }
};

TEST_F(Validate, RightUsePasses) {
  ASSERT_TRUE(submit(right()));
  hal::Run fewer = right();
  fewer.dims = {2};
  fewer.slices[0].bytes = fewer.slices[1].bytes = 64;
  ASSERT_TRUE(submit(fewer));
  BufferRef a = buffer(64, *device), host = buffer(64, *open_plain());
  ASSERT_TRUE(submit(Copy{{a}, {host}}));
  ASSERT_TRUE(submit(Fill{{a, 4, 8}, 1}));
  ASSERT_TRUE(queue->submit({{{timeline, submitted}}, {}, {{timeline, submitted + 1}}, nullptr}));
  ASSERT_TRUE(timeline->wait(submitted + 1, std::chrono::seconds(60)));
  EXPECT_TRUE(reports.empty()) << reports[0];
}

TEST_F(Validate, FindsForeignPrograms) {
  hal::Run run = right();
  DeviceRef other = validate(open_plain(), nullptr);
  run.program = *other->compile(segment(), {});
  finds("compiled by another device", submit(run));
  run.program = *open_plain()->compile(segment(), {});
  finds("not validated", submit(run));
}

TEST_F(Validate, FindsBadSlices) {
  hal::Run run = right();
  run.slices.pop_back();
  finds("1 slices, the program needs 2", submit(run));
  run = right();
  run.slices[0] = {buffer(96, *device)};
  finds("slice 0 has 96 bytes, needs 128", submit(run));
  run = right();
  run.slices[1] = {buffer(256, *device), 200, 128};
  finds("slice 1 is [200, +128) of a buffer of 256 bytes", submit(run));
  run = right();
  run.slices[1] = {buffer(256, *device), 4, 128};
  finds("begins at 4, no multiple of 64", submit(run));
  run = right();
  run.slices[1] = {buffer(128, *open_plain())};
  finds("slice 1 lies on another device", submit(run));
  run = right();
  run.slices[1] = {};
  finds("slice 1 has no buffer", submit(run));
  run = right();
  run.slices[1] = run.slices[0];
  finds("slice 1, which is written, overlaps slice 0", submit(run));
}

TEST_F(Validate, FindsBadDims) {
  hal::Run run = right();
  run.dims = {5};
  finds("dim 0 is 5, the program takes 1 .. 4", submit(run));
  run.dims = {};
  finds("symbol 0 needs a number", submit(run));
}

TEST_F(Validate, FindsBadScratch) {
  hal::Run run = right();
  run.scratch = {};
  finds("scratch has no buffer", submit(run));
  run.scratch = {buffer(64, *device)};
  finds("scratch has 64 bytes, needs", submit(run));
}

TEST_F(Validate, FindsBadCopiesAndFills) {
  BufferRef a = buffer(64, *device), b = buffer(64, *device), far = buffer(64, *open_plain());
  finds("src has 32 bytes, dst has 64", submit(Copy{{a, 0, 32}, {b}}));
  finds("dst is [32, +64) of a buffer of 64 bytes", submit(Copy{{a}, {b, 32, 64}}));
  finds("neither side", submit(Copy{{far, 0, 32}, {far, 32, 32}}));
  finds("begins at 2, no multiple of 4", submit(Fill{{a, 2, 4}, 0}));
  finds("6 bytes, no multiple of 4", submit(Fill{{a, 0, 6}, 0}));
  finds("another device", submit(Fill{{far}, 0}));
}

TEST_F(Validate, FindsWaitsForWhatNobodySubmitted) {
  TimelineRef other = *device->create_timeline(3);
  ++submitted;
  finds("wait for value 4, which nobody has submitted; the highest is 3",
        queue->submit({{{other, 4}}, {}, {}, nullptr}));
  ASSERT_TRUE(other->signal(4));
  ASSERT_TRUE(queue->submit({{{other, 4}}, {}, {{other, 6}}, nullptr}));
  ASSERT_TRUE(queue->submit({{{other, 5}}, {}, {}, nullptr}));
  ++submitted;
  finds("signal of value 6 is not above 6", queue->submit({{}, {}, {{other, 6}}, nullptr}));
}

TEST_F(Validate, FindsSegmentsThatWereNotClaimed) {
  Segment s = segment();
  s.nodes[1].op = "no_such_op@1";
  auto compiled = device->compile(s, {});
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().code, Code::unsupported);
  EXPECT_NE(compiled.error().message.find("node 1"), std::string::npos) << compiled.error().message;
  ASSERT_EQ(reports.size(), 1u);
  s = segment();
  s.constants[0].data = {};
  compiled = device->compile(s, {});
  ASSERT_FALSE(compiled);
  EXPECT_NE(compiled.error().message.find("has no data"), std::string::npos) << compiled.error().message;
}

}  // namespace
}  // namespace switchyard::hal
