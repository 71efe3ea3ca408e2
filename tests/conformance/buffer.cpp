#include <cstring>
#include <set>

#include "tests/conformance/rig.h"

namespace switchyard::test {
namespace {

using Buffer = Contract;
constexpr Memory kinds[] = {Memory::device, Memory::upload, Memory::readback, Memory::shared};

TEST_P(Buffer, ReadsBackWhatWasWritten) {
  for (Memory memory : kinds)
    for (std::size_t bytes : {4u, 5u, 64u, 4099u, 1u << 20}) {
      BufferRef b = buffer(bytes, memory);
      ASSERT_TRUE(b);
      EXPECT_EQ(b->bytes(), bytes);
      const auto data = pattern(bytes, 1);
      ASSERT_OK(b->write(0, data));
      EXPECT_EQ(read(*b, 0, bytes), data);
      const auto part = pattern(3, 2);  // inside, at an odd place
      ASSERT_OK(b->write(1, part));
      EXPECT_EQ(read(*b, 1, 3), part);
      EXPECT_EQ(read(*b, 0, 1)[0], data[0]);
      if (bytes > 4) {
        EXPECT_EQ(read(*b, 4, 1)[0], data[4]);
      }
    }
}

TEST_P(Buffer, MappedMemoryIsTheBuffer) {
  for (Memory memory : kinds) {
    BufferRef b = buffer(4096, memory);
    ASSERT_TRUE(b);
    auto mapped = b->map();
    if (!mapped) {
      EXPECT_CODE(Code::unsupported, mapped);
      EXPECT_EQ(memory, Memory::device) << "only device memory may be out of the host's sight";
      continue;
    }
    ASSERT_EQ(mapped->size(), 4096u);
    const auto data = pattern(4096, 3), other = pattern(100, 4);
    std::memcpy(mapped->data(), data.data(), data.size());
    EXPECT_EQ(read(*b, 0, 4096), data);
    ASSERT_OK(b->write(64, other));
    EXPECT_EQ(std::memcmp(mapped->data() + 64, other.data(), other.size()), 0);
    auto again = b->map();
    ASSERT_OK(again);
    EXPECT_EQ(again->data(), mapped->data()) << "it stays mapped, in one place";
  }
}

TEST_P(Buffer, RefusesRangesBeyondItsEnd) {
  BufferRef b = buffer(100);
  ASSERT_TRUE(b);
  std::vector<std::byte> ten(10);
  EXPECT_CODE(Code::invalid_argument, b->read(91, ten));
  EXPECT_CODE(Code::invalid_argument, b->write(91, ten));
  EXPECT_CODE(Code::invalid_argument, b->read(101, {}));
  EXPECT_CODE(Code::invalid_argument, b->write(~Bytes{0} - 3, ten));  // wraps around
  EXPECT_CODE(Code::invalid_argument, b->read(~Bytes{0} - 3, ten));
  ASSERT_OK(b->write(90, ten));
  ASSERT_OK(b->read(90, ten));
}

TEST_P(Buffer, TooLargeIsOutOfMemoryWithNumbers) {
  auto made = device().allocate({Bytes{1} << 52, Memory::device, "petabytes"});
  EXPECT_CODE(Code::out_of_memory, made);
  if (!made) {
    EXPECT_NE(made.error().message.find("45035996"), std::string::npos)
        << "the number asked, in any unit: " << made.error().message;
  }
}

TEST_P(Buffer, CarriesItsDeviceAsIdentity) {
  BufferRef a = buffer(16), b = buffer(16, Memory::upload);
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->owner(), nullptr);
  EXPECT_EQ(a->owner(), b->owner());
  for (const std::string& id : device_ids()) {
    if (id == GetParam()) continue;
    DeviceRef other = open_device(id);
    ASSERT_TRUE(other);
    auto foreign = other->allocate({16, Memory::device, "foreign"});
    ASSERT_OK(foreign);
    EXPECT_NE((*foreign)->owner(), a->owner()) << id;
  }
}

TEST_P(Buffer, AdoptsHostMemoryOrSaysItCannot) {
  constexpr std::size_t bytes = 1 << 16;
  std::unique_ptr<std::byte, decltype(&std::free)> memory(static_cast<std::byte*>(std::aligned_alloc(4096, bytes)),
                                                          &std::free);
  const auto data = pattern(bytes, 5);
  std::memcpy(memory.get(), data.data(), bytes);
  auto adopted = device().adopt({Handle::host_pointer, reinterpret_cast<std::uint64_t>(memory.get()), bytes});
  if (!adopted) {
    EXPECT_CODE(Code::unsupported, adopted);
    GTEST_SKIP() << adopted.error().message;
  }
  EXPECT_EQ((*adopted)->bytes(), bytes);
  EXPECT_EQ(read(**adopted, 0, bytes), data);
  BufferRef copy = buffer(bytes);
  ASSERT_TRUE(copy);
  ASSERT_OK(run({Copy{{*adopted, 0, bytes}, {copy, 0, bytes}}}));
  EXPECT_EQ(read(*copy, 0, bytes), data);
  const auto back = pattern(bytes, 6);
  ASSERT_OK(copy->write(0, back));
  ASSERT_OK(run({Copy{{copy, 0, bytes}, {*adopted, 0, bytes}}}));
  EXPECT_EQ(std::memcmp(memory.get(), back.data(), bytes), 0)
      << "what is written to an adopted buffer lands in the host's memory";
}

TEST_P(Buffer, HeapsAreThereAndNotOverdrawn) {
  auto heaps = device().heaps();
  ASSERT_OK(heaps);
  ASSERT_FALSE(heaps->empty());
  for (const Heap& h : *heaps) {
    EXPECT_GT(h.total, 0u);
    EXPECT_LE(h.budget, h.total);
  }
}

ON_EVERY_DEVICE(Buffer);

}  // namespace
}  // namespace switchyard::test
