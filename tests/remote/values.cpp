// What crosses between the processes: values, messages, files and memory.
#include <fcntl.h>
#include <sys/mman.h>

#include <random>
#include <thread>

#include "backends/remote/shared_memory.h"
#include "kernels/harness.h"
#include "models/granite_hybrid/segments.h"
#include "tests/remote/rig.h"
#include "tests/support/devices.h"
#include "tests/support/folder.h"
#include "tests/support/golden.h"

namespace switchyard::test {
namespace {

using remote::Channel;
using remote::decode;
using remote::encode;
using remote::File;
using remote::Mapping;
using remote::Message;
using remote::Say;

TEST(Values, ComeBackAsTheyWere) {
  int segments = 0;
  for (const kernels::OpInfo* op : kernels::ops())
    for (const kernels::Case& c : op->cases()) {
      const std::string bytes = encode(c.segment);
      Segment back;
      ASSERT_TRUE(decode(bytes, back)) << op->name;
      EXPECT_EQ(hash(back), hash(c.segment)) << op->name;
      EXPECT_EQ(back.labels, c.segment.labels);
      EXPECT_EQ(encode(back), bytes) << op->name;
      ++segments;
    }
  EXPECT_GT(segments, 20);
  Discovery found = backend("cpu", {}, true)->discover();
  found.absent.push_back({"a", "b", "c", "d"});
  Discovery back;
  ASSERT_TRUE(decode(encode(found), back));
  EXPECT_EQ(encode(back), encode(found));
  EXPECT_EQ(back.devices[0].features, found.devices[0].features);
  EXPECT_EQ(back.devices[0].chip, found.devices[0].chip);
}

// Whatever a broken host sends is refused or understood; nothing is read past its end, and nothing huge is made of it.
TEST(Values, BadBytesAreRefused) {
  constexpr unsigned seed = 7;
  std::mt19937 random(seed);
  const std::string good = encode(kernels::find_op("ssm_scan@1")->cases().front().segment);
  int refused = 0;
  for (std::size_t n = 0; n < good.size(); ++n) {
    Segment s;
    EXPECT_FALSE(decode(good.substr(0, n), s)) << n << " of " << good.size() << " bytes";
  }
  Segment s;
  EXPECT_FALSE(decode(good + "x", s));
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (unsigned k = random() % 4 + 1; k > 0; --k) bad[random() % bad.size()] = static_cast<char>(random());
    Segment made;
    refused += !decode(bad, made);
  }
  EXPECT_GT(refused, 1000) << "seed " << seed;
}

struct Ends {
  std::unique_ptr<Channel> a, b;
};
Ends channels() {
  auto sockets = remote::make_sockets();
  if (!sockets) throw std::runtime_error(describe(sockets.error()));
  return {Channel::open(std::move(sockets->first)).value(), Channel::open(std::move(sockets->second)).value()};
}

// Far more than a socket holds, sent while nobody reads: send() comes back, and all arrives in order, files and all.
TEST_F(Remote, MessagesOfAnySizeArriveInOrder) {
  auto [a, b] = channels();
  constexpr std::uint64_t count = 400;
  auto text = [](std::uint64_t i) { return std::string(i * 997 % 300000, static_cast<char>(i)); };
  for (std::uint64_t i = 0; i < count; ++i) {
    std::vector<File> files;
    for (std::uint64_t f = 0; f < i % 3; ++f) {
      auto file = remote::memory_file("switchyard test", 8);
      ASSERT_TRUE(file);
      const std::uint64_t mark = i * 10 + f;
      ASSERT_EQ(pwrite(file->get(), &mark, sizeof mark, 0), 8);
      files.push_back(std::move(*file));
    }
    a->send(Say::ping, i, text(i), std::move(files));
  }
  a->close();
  std::thread sender([&, &sending = a] {
    while (sending->pump(10ms, -1, [](Message) { return true; }) == Channel::State::open) {
    }
  });
  std::uint64_t next = 0;
  auto take = [&](Message m) {
    EXPECT_EQ(m.header.number, next);
    EXPECT_TRUE(m.bytes == text(next)) << next;
    EXPECT_EQ(m.files.size(), next % 3);
    for (std::size_t f = 0; f < m.files.size(); ++f) {
      std::uint64_t mark = 0;
      EXPECT_EQ(pread(m.files[f].get(), &mark, sizeof mark, 0), 8);
      EXPECT_EQ(mark, next * 10 + f);
    }
    ++next;
    return true;
  };
  while (b->pump(1s, -1, take) == Channel::State::open) {
  }
  EXPECT_EQ(next, count);
  b.reset();
  sender.join();
}

TEST_F(Remote, AMessageTooLongToBeOneIsBroken) {
  auto sockets = remote::make_sockets();
  ASSERT_TRUE(sockets);
  auto channel = Channel::open(std::move(sockets->second));
  ASSERT_TRUE(channel);
  const remote::Header huge{0xffffffffu, Say::ping, 0, 1};
  ASSERT_EQ(write(sockets->first.get(), &huge, sizeof huge), static_cast<ssize_t>(sizeof huge));
  EXPECT_EQ((*channel)->pump(1s, -1, [](Message) { return true; }), Channel::State::broken);
}

// A file's map is found again by its memory; not so after another file has taken its place.
TEST_F(Remote, TheFileBehindMemoryIsFound) {
  const Folder folder;
  const std::string path = folder.file("behind"), other = folder.file("other");
  const auto write_file = [](const std::string& name, char what) {
    std::ofstream out(name, std::ios::binary);
    for (int i = 0; i < 20000; ++i) out.put(static_cast<char>(what + i % 61));
  };
  write_file(path, 'a');
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto mapping = Mapping::of(file, 0, 20000, Mapping::Use::read);
  ASSERT_TRUE(mapping);
  const std::span<const std::byte> inner = (*mapping)->bytes().subspan(5001, 9000);
  auto found = remote::file_behind(inner);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset, 5001u);
  auto again = Mapping::of(found->file, found->offset, inner.size(), Mapping::Use::read);
  ASSERT_TRUE(again);
  EXPECT_EQ(std::memcmp((*again)->bytes().data(), inner.data(), inner.size()), 0);

  write_file(other, 'b');
  std::filesystem::rename(other, path);
  EXPECT_FALSE(remote::file_behind(inner)) << "it is another file now";
  std::filesystem::remove(path);
  EXPECT_FALSE(remote::file_behind(inner));
  std::vector<std::byte> heap(5000);
  EXPECT_FALSE(remote::file_behind(heap));
}

// Weights of a file are read by the host from that file; they do not go through memory of ours.
TEST_F(Remote, WeightsOfAFileAreMappedByTheHost) {
  const std::string path = oracle_path("gguf/moe-hybrid-q8_0.gguf");
  auto model = models::load(path);
  ASSERT_TRUE(model) << describe(model.error());
  auto b = backend("cpu");
  DeviceRef device = open(*b);
  models::StepShape shape;
  shape.rows = Dim::open(kernels::sym_rows, 1, 8);
  shape.sequences = Dim::open(kernels::sym_sequences, 1, 2);
  shape.logits = Dim::open(kernels::sym_logits, 1, 8);
  const Segment segment = models::build_segment(*model, 0, models::unit_count(*model), shape).segment;
  std::size_t found = 0;
  for (const Constant& c : segment.constants) found += c.mapped_file && remote::file_behind(c.data).has_value();
  EXPECT_GT(segment.constants.size(), 10u);
  EXPECT_GT(found, segment.constants.size() / 2);
  auto program = device->compile(segment, {});
  ASSERT_TRUE(program) << describe(program.error());
  std::ifstream maps("/proc/" + std::to_string(remote::process_of(*device)) + "/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), {}};
  EXPECT_NE(text.find("moe-hybrid-q8_0.gguf"), std::string::npos)
      << "constants without a packed copy stay where they are";
}

// A backend that has a process may be asked in a fork, as discovery does; the process of the first stays untouched.
TEST_F(Remote, AForkStartsAProcessOfItsOwn) {
  auto b = backend("cpu");
  DeviceRef device = open(*b);
  const pid_t child = fork();
  if (child == 0) {
    const bool found =
        b->discover().devices.size() == 1 && remote::process_of(*open(*b)) != remote::process_of(*device);
    _exit(found ? 7 : 8);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_TRUE(device->heaps());
  EXPECT_TRUE(run(*device, {}));
}

}  // namespace
}  // namespace switchyard::test
