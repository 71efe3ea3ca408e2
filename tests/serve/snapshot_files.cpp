// Snapshots in files: replaced whole or not at all, and what the file system may answer.
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/serve/files.h"
#include "tests/serve/snapshot_samples.h"

namespace switchyard {
namespace {

using scheduler::load_snapshot;
using scheduler::save_snapshot;
using scheduler::Snapshot;
using test::expect_equal;
using test::large_snapshot;
using test::small_snapshot;

class SnapshotFile : public test::FileTest {
 protected:
  std::filesystem::path path() const { return folder_ / "s.snapshot"; }
  std::string refusal(hal::Code code = hal::Code::io) const {
    auto read = load_snapshot(path());
    if (read) return "was read";
    EXPECT_EQ(read.error().code, code) << read.error().message;
    return read.error().message;
  }
};

TEST_F(SnapshotFile, ReadsBackWhatWasWritten) {
  for (const Snapshot& s : {small_snapshot(), large_snapshot(10 << 20, 1)}) {
    auto saved = save_snapshot(path(), s);
    ASSERT_TRUE(saved) << saved.error().message;
    auto read = load_snapshot(path());
    ASSERT_TRUE(read) << read.error().message;
    expect_equal(*read, s);
    const auto bytes = scheduler::snapshot_bytes(s);
    const std::string text = content(path());
    EXPECT_TRUE(text.size() == bytes->size() && std::memcmp(text.data(), bytes->data(), text.size()) == 0);
  }
  EXPECT_EQ(names(), "s.snapshot ");
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(SnapshotFile, AnyFlippedByteIsRefused) {
  ASSERT_TRUE(save_snapshot(path(), small_snapshot()));
  const std::string good = content(path());
  std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
  for (std::size_t i = 0; i < good.size(); ++i) {
    file.seekp(static_cast<std::streamoff>(i)).put(static_cast<char>(~good[i])).flush();
    EXPECT_EQ(refusal().rfind(path().string() + ": ", 0), 0u) << i;
    file.seekp(static_cast<std::streamoff>(i)).put(good[i]).flush();
  }
  EXPECT_TRUE(load_snapshot(path()));
}

TEST_F(SnapshotFile, WhatIsNoFileIsRefused) {
  EXPECT_HAS(refusal(hal::Code::not_found), "No such file");
  std::ofstream(path()).close();
  EXPECT_HAS(refusal(), "is empty, no snapshot");
  std::filesystem::remove(path());
  std::filesystem::create_directory(path());
  EXPECT_HAS(refusal(), "is a folder, no snapshot");
  auto saved = save_snapshot(path(), small_snapshot());
  ASSERT_FALSE(saved);
  EXPECT_HAS(saved.error().message, "cannot be put in place of what is there: Is a directory");
  EXPECT_EQ(names(), "s.snapshot ");
  std::filesystem::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_HAS(refusal(), "is no regular file, no snapshot");  // and does not wait
  auto nowhere = save_snapshot(folder_ / "none" / "s", small_snapshot());
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, hal::Code::not_found);
}

TEST_F(SnapshotFile, NoPermissionIsRefused) {
  ASSERT_TRUE(save_snapshot(path(), small_snapshot()));
  std::filesystem::permissions(path(), std::filesystem::perms::none);
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_exec | std::filesystem::perms::others_exec);
  test::AsNobody nobody;  // the superuser may everything
  if (!nobody) GTEST_SKIP() << "runs as root and cannot become somebody else";
  EXPECT_HAS(refusal(), "Permission denied");
  auto saved = save_snapshot(path(), small_snapshot());
  ASSERT_FALSE(saved);
  EXPECT_HAS(saved.error().message, "no file can be made beside it: Permission denied");
}

TEST_F(SnapshotFile, AFullDiskKeepsTheOldOne) {
  ASSERT_TRUE(save_snapshot(path(), small_snapshot()));
  for (rlim_t limit : {0, 100, 4000, 1 << 20, (3 << 20) + 5}) {
    test::FileSizeLimit full(limit);
    auto saved = save_snapshot(path(), large_snapshot(4 << 20, 1));
    ASSERT_FALSE(saved) << limit;
    EXPECT_HAS(saved.error().message, "cannot be written");
    EXPECT_EQ(names(), "s.snapshot ") << limit;
    auto read = load_snapshot(path());
    ASSERT_TRUE(read) << read.error().message;
    expect_equal(*read, small_snapshot());
  }
}

TEST_F(SnapshotFile, ADiskOfOneMegabyteKeepsTheOldOne) {
  const int status = test::in_child([&] {
    if (!test::small_disk(folder_, "size=1m")) return 77;
    if (!save_snapshot(path(), small_snapshot())) return 1;
    auto saved = save_snapshot(path(), large_snapshot(4 << 20, 1));
    if (saved || saved.error().message.find("No space left on device") == std::string::npos) return 2;
    auto read = load_snapshot(path());
    return read && read->extra == small_snapshot().extra && names() == "s.snapshot " ? 0 : 3;
  });
  if (status == 77) GTEST_SKIP() << "no small disk can be mounted here";
  EXPECT_EQ(status, 0);
}

// A head that is right and promises 2 GB, of which the file system holds none: no memory is filled.
TEST_F(SnapshotFile, ALargeEmptyFileCostsNoMemory) {
  const std::uint64_t large = UINT64_C(2) << 30, sums = 8 * (large >> 20);
  auto bytes = *scheduler::snapshot_bytes(small_snapshot());
  const std::size_t k = 77 + 40 + 24;
  test::put_at(bytes, 16, bytes.size() - 80 - 8 + large + sums);
  test::put_at(bytes, k, large);
  bytes = test::resealed(bytes);
  std::ofstream(path(), std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), 205 + 28 + 36 + 104 + 264);
  std::filesystem::resize_file(path(), bytes.size() - 80 - 8 + large + sums);
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  EXPECT_HAS(refusal(), "the checksum of layer 1's k, bytes 637 to 1049213 of the file, is wrong");
  getrusage(RUSAGE_SELF, &after);
  if (!test::sanitized) {
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024);  // KiB
  }
}

// A process that saves is killed at any time: the file is the old or the new one, whole.
TEST_F(SnapshotFile, KilledWhileSavingLeavesAWholeOne) {
  const Snapshot one = large_snapshot(1 << 20, 1), two = large_snapshot(3 << 20, 2);
  ASSERT_TRUE(save_snapshot(path(), one));
  const unsigned seed = 20;
  std::mt19937 random(seed);
  int unfinished = 0;
  for (int kill = 0; kill < 60; ++kill) {
    auto saving = [&] {
      for (;;)
        if (!save_snapshot(path(), two) || !save_snapshot(path(), one)) return;
    };
    // At times that begin with the process, and with its first save.
    test::killed_after(std::chrono::microseconds(random() % 20000), saving,
                       [&] { return kill % 2 == 0 || names() != "s.snapshot "; });
    auto read = load_snapshot(path());
    ASSERT_TRUE(read) << read.error().message << "; seed " << seed << ", kill " << kill;
    expect_equal(*read, read->state.layers[0].k.size() == one.state.layers.at(0).k.size() ? one : two);
    unfinished += names() != "s.snapshot ";
    scheduler::remove_unfinished(folder_);
    ASSERT_EQ(names(), "s.snapshot ");
  }
  std::printf("seed %u: 60 kills, %d saves cut short\n", seed, unfinished);
  EXPECT_GT(unfinished, 0);  // else no kill hit a save
}

TEST_F(SnapshotFile, OnlyWhatNobodyWritesIsRemoved) {
  auto open = scheduler::NewFile::create(path());
  ASSERT_TRUE(open);
  std::ofstream(folder_ / "s.snapshot.aaaaaa.switchyard-part") << "left by the dead";
  std::ofstream(folder_ / "film.part") << "somebody else's";
  scheduler::remove_unfinished(folder_);
  const std::string left = names();
  EXPECT_HAS(left, "film.part ");
  EXPECT_EQ(left.find("aaaaaa"), std::string::npos) << left;
  ASSERT_TRUE(open->write(std::as_bytes(std::span("kept"))));
  EXPECT_TRUE(open->commit());
}

}  // namespace
}  // namespace switchyard
