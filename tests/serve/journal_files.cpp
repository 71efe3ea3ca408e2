// The journal's file: what applications do with it, and what processes and disks do to it.
#include <fcntl.h>

#include "tests/serve/journal_samples.h"

namespace switchyard {
namespace {

using namespace test;
using scheduler::Durability;
using scheduler::Snapshot;
using std::chrono::milliseconds;

using JournalFiles = test::JournalFile;

TEST_F(JournalFiles, GoesOnWhereItEnded) {
  const auto steps = write_sample();
  for (Durability durability : {Durability::process, Durability::interval, Durability::record}) {
    auto [journal, content] = opened({durability, milliseconds(1)});
    EXPECT_EQ(content.sessions[0].parameters, steps.back().sessions[0].parameters);
    const std::size_t n = content.sessions[0].tokens.size();
    good(append(*journal, 5, n, {static_cast<std::int32_t>(n)}));
    std::this_thread::sleep_for(milliseconds(5));  // time for a turn of the thread
    good(append(*journal, 5, n + 1, {static_cast<std::int32_t>(n + 1)}));
    good(journal->flush());
  }
  EXPECT_EQ(sessions()[0].tokens, (Tokens{1, 2, 3, 4, 6, 8, 8, 7, 8, 9, 10, 11, 12}));
}

TEST_F(JournalFiles, OneWriteHoldsAStepOfManySessions) {
  auto [journal, content] = opened();
  for (std::uint64_t s = 0; s < 8; ++s) good(journal->open_session(s, ""));
  const Tokens tokens{1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<JournalAppend> step;
  for (std::uint64_t s = 0; s < 8; ++s) step.push_back({s, 0, std::span(tokens).first(s)});
  step.push_back({3, 3, tokens});  // and again one of them
  good(journal->append(step));
  journal.reset();
  const auto found = sessions();
  ASSERT_EQ(found.size(), 8u);
  for (std::uint64_t s = 0; s < 8; ++s) EXPECT_EQ(found[s].tokens.size(), s == 3 ? 11 : s);
}

TEST_F(JournalFiles, MillionsOfTokensAtOnceAreSplit) {
  Tokens many(3'000'001);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::int32_t>(i * 7);
  {
    auto journal = opened().journal;
    good(journal->open_session(1, std::string(1 << 20, 'p')));
    good(append(*journal, 1, 0, many));
    good(journal->compact());
    good(append(*journal, 1, many.size(), {1}));
  }
  many.push_back(1);
  EXPECT_TRUE(sessions()[0].tokens == many);
}

TEST_F(JournalFiles, WhatMakesNoSenseIsNotWritten) {
  write_sample();
  auto journal = opened().journal;
  const std::string before = content(path());
  auto refused = [&](const hal::Status& status) {
    if (status) return std::string("was done");
    EXPECT_EQ(status.error().code, hal::Code::invalid_argument);
    return status.error().message;
  };
  EXPECT_HAS(refused(journal->open_session(5, "")), "session 5 is open already");
  EXPECT_HAS(refused(journal->open_session(6, std::string((1 << 20) + 1, 'p'))), "parameters of 1048577 bytes");
  EXPECT_HAS(refused(append(*journal, 9, 0, {1})), "session 9 is not open");
  EXPECT_HAS(refused(append(*journal, 5, 8, {1})), "tokens for position 8 of session 5, whose log has 7");
  const Tokens one{1};
  const std::array step{JournalAppend{5, 2, one}, JournalAppend{5, 3, one}, JournalAppend{9, 0, one}};
  EXPECT_HAS(refused(journal->append(step)), "session 9 is not open");
  EXPECT_HAS(refused(journal->snapshot_taken(5, 8, "f")), "a snapshot of 8 tokens in file 'f'; session 5 has 7");
  EXPECT_HAS(refused(journal->snapshot_taken(5, 7, "")), "a file's name 1 to 4096 bytes");
  EXPECT_HAS(refused(journal->snapshot_taken(5, 7, std::string(4097, 'f'))), "a file's name 1 to 4096 bytes");
  EXPECT_HAS(refused(journal->snapshot_taken(9, 0, "f")), "session 9 is not open");
  EXPECT_HAS(refused(journal->close_session(9)), "session 9 is not open");
  EXPECT_EQ(content(path()), before);
  good(append(*journal, 5, 7, {1}));  // the refused step has not cut its log
}

TEST_F(JournalFiles, IsOpenOnce) {
  auto journal = opened().journal;
  auto again = Journal::open(path());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, hal::Code::unavailable);
  EXPECT_HAS(again.error().message, "is open in another process or in another Journal of this one");
  auto refused_in_child = [&] {
    return in_child([&] {
      auto other = Journal::open(path());
      return !other && other.error().code == hal::Code::unavailable ? 0 : 1;
    });
  };
  EXPECT_EQ(refused_in_child(), 0);
  good(journal->open_session(1, ""));
  good(journal->compact());  // the file that took its place is locked as well
  EXPECT_EQ(refused_in_child(), 0);
  journal.reset();
  EXPECT_EQ(sessions().size(), 1u);
}

TEST_F(JournalFiles, WhatIsNoJournalIsLeftAlone) {
  put(path(), "somebody's text, longer than a journal's head");
  auto read = Journal::open(path());
  ASSERT_FALSE(read);
  EXPECT_HAS(read.error().message, "is no journal: it begins with 'somebody'");
  EXPECT_EQ(content(path()), "somebody's text, longer than a journal's head");
  auto folder = Journal::open(folder_);
  ASSERT_FALSE(folder);
  EXPECT_HAS(folder.error().message, "Is a directory");
  auto nowhere = Journal::open(folder_ / "none" / "j");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, hal::Code::not_found);
}

// Torn at every byte of its last record: what was before is there, the loss is told, and the next record is found.
TEST_F(JournalFiles, ATornEndIsCutAndWrittenOver) {
  const auto steps = write_sample();
  const std::string all = content(path());
  const Step& before = steps[steps.size() - 2];
  for (std::size_t n = before.end + 1; n < all.size(); ++n) {
    put(path(), all.substr(0, n));
    auto [journal, content] = opened();
    EXPECT_EQ(content.sessions, before.sessions) << n;
    EXPECT_EQ(content.lost_bytes, n - before.end) << n;
    good(append(*journal, 5, 5, {42}));
    journal.reset();
    const OpenedJournal again = opened();
    EXPECT_EQ(again.content.lost_bytes, 0u) << n;
    EXPECT_EQ(again.content.sessions[0].tokens, (Tokens{1, 2, 3, 4, 6, 42})) << n;
  }
  for (std::size_t n = 0; n < 16; ++n) {  // torn as it was made
    put(path(), all.substr(0, n));
    auto [journal, content] = opened();
    EXPECT_TRUE(content.sessions.empty());
    good(journal->open_session(1, ""));
    journal.reset();
    EXPECT_EQ(sessions().size(), 1u);
  }
}

TEST_F(JournalFiles, DamageInTheMiddleChangesNothingUnlessAsked) {
  const auto steps = write_sample();
  std::string bad = content(path());
  bad[steps[2].end + 20] ^= 1;
  put(path(), bad);
  auto refused = Journal::open(path());
  ASSERT_FALSE(refused);
  EXPECT_HAS(refused.error().message, "the record at byte " + std::to_string(steps[2].end) + " has a damaged payload");
  EXPECT_EQ(content(path()), bad);
  JournalOptions cut;
  cut.cut_damage = true;
  const auto [journal, content] = opened(cut);
  EXPECT_EQ(content.sessions, steps[2].sessions);
  EXPECT_EQ(content.lost_bytes, bad.size() - steps[2].end);
}

TEST_F(JournalFiles, AFullDiskLosesNothingAndIsTriedAgain) {
  for (rlim_t room : {0, 1, 15, 16, 17, 43, 44, 200}) {
    std::filesystem::remove(path());
    auto [journal, content] = opened();
    good(journal->open_session(1, "p"));
    Tokens kept;
    {
      test::FileSizeLimit full(journal->bytes() + room);
      for (std::int32_t i = 0; i < 10; ++i) {
        auto appended = append(*journal, 1, kept.size(), {i});
        if (appended)
          kept.push_back(i);
        else
          EXPECT_HAS(appended.error().message, "cannot be written");
      }
      EXPECT_LT(kept.size(), 10u);
      EXPECT_FALSE(journal->open_session(2, std::string(300, 'p')));
      EXPECT_EQ(this->content(path()).size(), journal->bytes());
    }
    good(append(*journal, 1, kept.size(), {100}));
    good(journal->open_session(2, ""));
    kept.push_back(100);
    journal.reset();
    const auto found = sessions();
    ASSERT_EQ(found.size(), 2u) << room;
    EXPECT_EQ(found[0].tokens, kept) << room;
  }
}

TEST_F(JournalFiles, CompactedItHasTheSameContent) {
  const auto steps = write_sample();
  std::uint64_t small = 0;
  {
    auto journal = opened().journal;
    for (std::uint64_t i = 0; i < 1000; ++i) good(append(*journal, 5, 7 + i, {static_cast<std::int32_t>(i)}));
    good(journal->snapshot_taken(5, 1007, "c"));
    const auto large = journal->bytes();
    good(journal->compact());
    small = journal->bytes();
    EXPECT_LT(small, large / 8);
    EXPECT_EQ(content(path()).size(), small);
    good(append(*journal, 5, 1007, {-1}));
  }
  EXPECT_EQ(names(), "j.journal ");
  auto found = sessions();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].parameters, steps.back().sessions[0].parameters);
  ASSERT_EQ(found[0].tokens.size(), 1008u);
  EXPECT_EQ(found[0].tokens[1006], 999);
  EXPECT_EQ(found[0].tokens[1007], -1);
  EXPECT_EQ(found[0].snapshots, (std::vector<JournalSession::SnapshotMark>{{3, "a"}, {1007, "c"}}));
}

TEST_F(JournalFiles, CompactsItselfWhenItHasGrown) {
  JournalOptions options;
  options.compact_bytes = 4096;
  auto [journal, content] = opened(options);
  std::uint64_t largest = 0;
  for (std::uint64_t s = 0; s < 500; ++s) {
    good(journal->open_session(s, "parameters"));
    for (std::uint64_t i = 0; i < 5; ++i) good(append(*journal, s, i, {1}));
    if (s > 0) good(journal->close_session(s - 1));
    largest = std::max(largest, journal->bytes());
  }
  EXPECT_LT(largest, 4096u + 200);
  EXPECT_FALSE(journal->compaction_error());
  journal.reset();
  const auto found = sessions();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, 499u);
  EXPECT_EQ(found[0].tokens, Tokens(5, 1));
}

TEST_F(JournalFiles, ACompactionThatFailsIsToldAndHarmless) {
  JournalOptions options;
  options.compact_bytes = 1000;
  auto [journal, content] = opened(options);
  good(journal->open_session(1, ""));
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_exec | std::filesystem::perms::others_exec);
  {
    test::AsNobody nobody;  // may no longer make files there
    if (!nobody) GTEST_SKIP() << "runs as root and cannot become somebody else";
    for (std::uint64_t i = 0; i < 100; ++i) good(append(*journal, 1, i, {static_cast<std::int32_t>(i)}));
  }
  ASSERT_TRUE(journal->compaction_error());
  EXPECT_HAS(journal->compaction_error()->message, "Permission denied");
  EXPECT_EQ(reading(this->content(path())).sessions[0].tokens.size(), 100u);
}

// What a disk did to records since they were written must not be made final.
TEST_F(JournalFiles, ADamagedJournalIsNotCompacted) {
  auto [journal, content] = opened();
  good(journal->open_session(1, ""));
  good(append(*journal, 1, 0, {1, 2, 3}));
  std::string bad = this->content(path());
  bad[bad.size() - 12] ^= 1;
  std::fstream(path(), std::ios::in | std::ios::out | std::ios::binary) << bad;
  auto compacted = journal->compact();
  ASSERT_FALSE(compacted);
  EXPECT_HAS(compacted.error().message, "was whole and is no longer, so it is not compacted");
  EXPECT_EQ(this->content(path()), bad);
}

TEST_F(JournalFiles, TheNewestSnapshotThatIsGoodIsUsed) {
  Snapshot one = small_snapshot(), two = small_snapshot();
  two.state.log = {0, 49151, 7, 7, 100, 3};
  const auto expected = small_expectation();
  JournalSession s{1, "", {0, 49151, 7, 7, 100, 3, 4}, {{5, "one"}, {6, "two"}}};
  auto newest = [&](std::vector<std::string> whys, const scheduler::SnapshotExpectation* e = nullptr) {
    std::vector<hal::Error> passed_over;
    auto found = scheduler::newest_snapshot(s, folder_, e, &passed_over);
    EXPECT_EQ(passed_over.size(), whys.size());
    for (std::size_t i = 0; i < std::min(whys.size(), passed_over.size()); ++i)
      EXPECT_HAS(passed_over[i].message, whys[i]);
    return found ? found->state.log.size() : 0;
  };
  EXPECT_EQ(newest({"No such file", "No such file"}), 0u);
  good(scheduler::save_snapshot(folder_ / "one", one));
  EXPECT_EQ(newest({"No such file"}), 5u);
  good(scheduler::save_snapshot(folder_ / "two", two));
  EXPECT_EQ(newest({}), 6u);
  EXPECT_EQ(newest({"has 6 tokens, the context is 5"}, &expected), 5u);
  std::string bad = content(folder_ / "two");
  bad[bad.size() - 30] ^= 1;
  put(folder_ / "two", bad);
  EXPECT_EQ(newest({"is damaged"}), 5u);
  two.state.log[2] = 8;
  good(scheduler::save_snapshot(folder_ / "two", two));
  EXPECT_EQ(newest({"its log of 6 tokens is not the first 6 of session 1"}), 5u);
  s.snapshots[1].file = folder_ / "one";  // an absolute name, but not of six tokens
  EXPECT_EQ(newest({"its log of 5 tokens is not the first 6"}), 5u);
}

}  // namespace
}  // namespace switchyard
