#include <cstring>

#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using Queue = Contract;

std::vector<std::byte> words(std::size_t count, std::uint32_t word) {
  std::vector<std::byte> data(4 * count);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&data[4 * i], &word, 4);
  return data;
}

TEST_P(Queue, EmptySubmissionsSignal) {
  auto q = queue();
  TimelineRef a = timeline(), b = timeline();
  ASSERT_TRUE(q && a && b);
  ASSERT_OK(q->submit({{}, {}, {{a, 1}}}));
  ASSERT_OK(q->submit({{{a, 1}}, {}, {{a, 2}, {b, 9}}}));
  ASSERT_OK(a->wait(2, patience));
  ASSERT_OK(b->wait(9, patience));
  EXPECT_EQ(b->value(), 9u);
}

TEST_P(Queue, CommandsAndSubmissionsKeepTheirOrder) {
  auto q = queue();
  TimelineRef t = timeline();
  BufferRef a = buffer(256), b = buffer(256), c = buffer(256);
  ASSERT_TRUE(q && t && a && b && c);
  ASSERT_OK(q->submit({{}, {Fill{{a}, 1}, Copy{{a}, {b}}, Fill{{a}, 2}}, {{t, 1}}}));
  ASSERT_OK(q->submit({{}, {Copy{{a}, {c}}, Fill{{a}, 3}}, {{t, 2}}}));
  for (std::uint32_t i = 0; i < 50; ++i) ASSERT_OK(q->submit({{}, {Fill{{a, 0, 128}, 100 + i}}, {{t, 3 + i}}}));
  ASSERT_OK(t->wait(52, patience));
  EXPECT_EQ(read(*b, 0, 256), words(64, 1));
  EXPECT_EQ(read(*c, 0, 256), words(64, 2));
  EXPECT_EQ(read(*a, 0, 128), words(32, 149));
  EXPECT_EQ(read(*a, 128, 128), words(32, 3));
}

TEST_P(Queue, FillsWordsFromAnyMultipleOfFour) {
  BufferRef b = buffer(4096);
  ASSERT_TRUE(b);
  for (Bytes offset : {0u, 4u, 12u, 64u, 1000u})
    for (Bytes bytes : {4u, 8u, 20u, 256u, 1028u}) {
      const auto before = pattern(4096, 1);
      ASSERT_OK(b->write(0, before));
      ASSERT_OK(run({Fill{{b, offset, bytes}, 0xdeadbeef}}));
      auto expected = before;
      std::memcpy(&expected[offset], words(bytes / 4, 0xdeadbeef).data(), bytes);
      ASSERT_EQ(read(*b, 0, 4096), expected) << "offset " << offset << ", " << bytes << " bytes";
    }
}

TEST_P(Queue, CopiesFromAndToAnyMultipleOfFour) {
  constexpr std::size_t size = 1 << 16;
  BufferRef a = buffer(size), b = buffer(size, Memory::readback);
  ASSERT_TRUE(a && b);
  const auto from = pattern(size, 1), to = pattern(size, 2);
  ASSERT_OK(a->write(0, from));
  for (Bytes src : {0u, 4u, 60u, 1000u})
    for (Bytes dst : {0u, 12u, 64u, 4100u})
      for (Bytes bytes : {4u, 20u, 4096u, 50000u}) {
        ASSERT_OK(b->write(0, to));
        ASSERT_OK(run({Copy{{a, src, bytes}, {b, dst, bytes}}}));
        auto expected = to;
        std::memcpy(&expected[dst], &from[src], bytes);
        ASSERT_EQ(read(*b, 0, size), expected) << "from " << src << " to " << dst << ", " << bytes << " bytes";
      }
}

TEST_P(Queue, CopiesWithinOneBuffer) {
  BufferRef a = buffer(4096);
  ASSERT_TRUE(a);
  auto data = pattern(4096, 7);
  ASSERT_OK(a->write(0, data));
  ASSERT_OK(run({Copy{{a, 0, 1024}, {a, 2048, 1024}}}));
  std::memcpy(&data[2048], data.data(), 1024);
  EXPECT_EQ(read(*a, 0, 4096), data);
}

TEST_P(Queue, CopiesLargeBuffers) {
  constexpr std::size_t size = (9 << 20) + 4;  // more than a staging chunk, and not a whole number of them
  BufferRef a = buffer(size), b = buffer(size);
  ASSERT_TRUE(a && b);
  const auto data = pattern(size, 8);
  ASSERT_OK(a->write(0, data));
  ASSERT_OK(run({Copy{{a}, {b}}}));
  EXPECT_TRUE(read(*b, 0, size) == data);
}

TEST_P(Queue, CopiesToAndFromEveryOtherDevice) {
  constexpr std::size_t size = (5 << 20) + 12;
  int others = 0;
  for (const std::string& id : device_ids()) {
    if (id == GetParam()) continue;
    SCOPED_TRACE(id);
    DeviceRef other = open_device(id);
    ASSERT_TRUE(other);
    auto foreign = other->allocate({size, Memory::device, "foreign"});
    if (!foreign && foreign.error().code == Code::out_of_memory) continue;  // too small a device
    ASSERT_OK(foreign);
    BufferRef mine = buffer(size), back = buffer(size);
    ASSERT_TRUE(mine && back);
    const auto data = pattern(size, 9);
    ASSERT_OK(mine->write(0, data));
    ASSERT_OK(run({Copy{{mine}, {*foreign}}, Copy{{*foreign}, {back}}}));  // the second sees what the first wrote
    EXPECT_TRUE(read(**foreign, 0, size) == data);
    EXPECT_TRUE(read(*back, 0, size) == data);
    EXPECT_NE(to_string(device().path(*other)), nullptr);
    ++others;
  }
  if (others == 0) GTEST_SKIP() << "there is no other device";
}

TEST_P(Queue, WaitsForAnotherQueueOfThisDevice) {
  auto first = queue(), second = queue();
  TimelineRef t = timeline(), done = timeline();
  BufferRef a = buffer(1 << 20), b = buffer(1 << 20);
  ASSERT_TRUE(first && second && t && done && a && b);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    ASSERT_OK(first->submit({{{done, i - 1}}, {Fill{{a}, static_cast<std::uint32_t>(i)}}, {{t, i}}}));
    ASSERT_OK(second->submit({{{t, i}}, {Copy{{a}, {b}}}, {{done, i}}}));
    ASSERT_OK(done->wait(i, patience));
    ASSERT_EQ(read(*b, (1 << 20) - 4, 4), words(1, static_cast<std::uint32_t>(i)));
  }
}

TEST_P(Queue, WaitsForAnotherDevice) {
  int others = 0;
  for (const std::string& id : device_ids()) {
    if (id == GetParam()) continue;
    SCOPED_TRACE(id);
    DeviceRef other = open_device(id);
    ASSERT_TRUE(other);
    auto there = other->create_queue(QueueKind::any);
    auto their_timeline = other->create_timeline(0);
    auto theirs = other->allocate({4096, Memory::device, "theirs"});
    ASSERT_OK(there);
    ASSERT_OK(their_timeline);
    ASSERT_OK(theirs);
    auto here = queue();
    TimelineRef t = timeline();
    BufferRef mine = buffer(4096);
    ASSERT_TRUE(here && t && mine);
    ASSERT_OK((*there)->submit({{}, {Fill{{*theirs}, 77}}, {{*their_timeline, 1}}}));
    ASSERT_OK(here->submit({{{*their_timeline, 1}}, {Copy{{*theirs}, {mine}}}, {{t, 1}}}));
    ASSERT_OK((*there)->submit({{{t, 1}}, {Fill{{*theirs}, 78}}, {{*their_timeline, 2}}}));
    ASSERT_OK((*their_timeline)->wait(2, patience));
    EXPECT_EQ(read(*mine, 0, 4096), words(1024, 77));
    EXPECT_EQ(read(**theirs, 0, 4096), words(1024, 78));
    ++others;
  }
  if (others == 0) GTEST_SKIP() << "there is no other device";
}

TEST_P(Queue, FailureSpreadsToWhatWaitsForIt) {
  auto first = queue(), second = queue();
  TimelineRef broken = timeline(), a = timeline(), b = timeline();
  ASSERT_TRUE(first && second && broken && a && b);
  broken->fail({Code::io, "the disk is gone"});
  ASSERT_OK(first->submit({{{broken, 1}}, {}, {{a, 1}}}));
  ASSERT_OK(second->submit({{{a, 1}}, {}, {{b, 1}}}));
  Status waited = b->wait(1, patience);
  EXPECT_CODE(Code::io, waited);
  if (!waited) {
    EXPECT_NE(waited.error().message.find("the disk is gone"), std::string::npos) << waited.error().message;
  }
}

TEST_P(Queue, KeepsWhatItUsesAlive) {
  auto q = queue();
  TimelineRef t = timeline();
  BufferRef last = buffer(1 << 20);
  ASSERT_TRUE(q && t && last);
  {
    BufferRef a = buffer(1 << 20), b = buffer(1 << 20);
    ASSERT_TRUE(a && b);
    ASSERT_OK(q->submit({{}, {Fill{{a}, 5}, Copy{{a}, {b}}, Copy{{b}, {last}}}, {{t, 1}}}));
  }
  q.reset();  // waits for the work submitted
  EXPECT_EQ(t->value(), 1u);
  EXPECT_EQ(read(*last, (1 << 20) - 4, 4), words(1, 5));
}

TEST_P(Queue, TimesAreOnTheHostsClock) {
  BufferRef a = buffer(1 << 20), b = buffer(1 << 20);
  ASSERT_TRUE(a && b);
  auto timing = std::make_shared<Timing>();
  timing->want_spans = true;
  const auto before = std::chrono::steady_clock::now().time_since_epoch();
  ASSERT_OK(run({Fill{{a}, 1}, Copy{{a}, {b}}}, timing));
  const auto after = std::chrono::steady_clock::now().time_since_epoch();
  constexpr std::chrono::milliseconds skew{5};  // of a device's clock against the host's
  EXPECT_GE(timing->begin, before - skew);
  EXPECT_GE(timing->end, timing->begin);
  EXPECT_LE(timing->end, after + skew);
  for (const Span& s : timing->spans) {
    EXPECT_LE(s.begin, s.end);
    EXPECT_LT(s.command, 2u);
  }
}

ON_EVERY_DEVICE(Queue);

}  // namespace
}  // namespace switchyard::test
