// Journals for tests.
#pragma once
#include "scheduler/serve/journal.h"
#include "tests/serve/files.h"
#include "tests/serve/snapshot_samples.h"

namespace switchyard::scheduler {

inline bool operator==(const JournalSession::SnapshotMark& a, const JournalSession::SnapshotMark& b) {
  return a.length == b.length && a.file == b.file;
}
inline bool operator==(const JournalSession& a, const JournalSession& b) {
  return a.id == b.id && a.parameters == b.parameters && a.tokens == b.tokens && a.snapshots == b.snapshots;
}
inline void PrintTo(const JournalSession& s, std::ostream* out) {
  *out << "session " << s.id << " '" << s.parameters << "' " << testing::PrintToString(s.tokens);
  for (const auto& mark : s.snapshots) *out << " " << mark.file << "@" << mark.length;
}

}  // namespace switchyard::scheduler

namespace switchyard::test {

using scheduler::Journal;
using scheduler::JournalAppend;
using scheduler::JournalContent;
using scheduler::JournalOptions;
using scheduler::JournalSession;
using scheduler::OpenedJournal;
using Tokens = std::vector<std::int32_t>;

// Throws (and so fails the test) with the error.
template <class T>
T get(hal::Result<T> result) {
  if (!result) throw std::runtime_error(hal::describe(result.error()));
  return std::move(result).value();
}
inline void good(const hal::Status& status) {
  if (!status) throw std::runtime_error(hal::describe(status.error()));
}
inline hal::Status append(Journal& journal, std::uint64_t session, std::uint64_t at, const Tokens& tokens) {
  const JournalAppend one{session, at, tokens};
  return journal.append({&one, 1});
}

class JournalFile : public FileTest {
 protected:
  using FileTest::FileTest;
  std::filesystem::path path() const { return folder_ / "j.journal"; }
  OpenedJournal opened(const JournalOptions& options = {}) const { return get(Journal::open(path(), options)); }
  std::vector<JournalSession> sessions() const { return opened().content.sessions; }
  JournalContent reading(const std::string& bytes, bool cut_damage = false) const {
    return get(scheduler::read_journal(std::as_bytes(std::span(bytes)), "j", cut_damage));
  }
  static std::string refusal(const std::string& bytes) {
    auto read = scheduler::read_journal(std::as_bytes(std::span(bytes)), "j");
    if (read) return "was read";
    EXPECT_EQ(read.error().code, hal::Code::io);
    return read.error().message;
  }

  // One of everything; what is open after each record, and where the record ends.
  struct Step {
    std::uint64_t end;
    std::vector<JournalSession> sessions;
  };
  std::vector<Step> write_sample() const {
    std::vector<Step> steps;
    const auto journal = opened().journal;
    auto step = [&](const hal::Status& done, std::vector<JournalSession> now) {
      good(done);
      steps.push_back({journal->bytes(), std::move(now)});
    };
    const JournalSession five{5, R"({"seed":1})", {}, {}};
    auto with = [](JournalSession s, Tokens tokens, std::vector<JournalSession::SnapshotMark> snapshots = {}) {
      s.tokens = std::move(tokens);
      s.snapshots = std::move(snapshots);
      return s;
    };
    const JournalSession nine{9, "", {}, {}};
    steps.push_back({journal->bytes(), {}});
    step(journal->open_session(5, five.parameters), {five});
    step(append(*journal, 5, 0, {1, 2, 3}), {with(five, {1, 2, 3})});
    step(journal->open_session(9, ""), {with(five, {1, 2, 3}), nine});
    step(append(*journal, 9, 0, {-7}), {with(five, {1, 2, 3}), with(nine, {-7})});
    step(journal->snapshot_taken(5, 3, "a"), {with(five, {1, 2, 3}, {{3, "a"}}), with(nine, {-7})});
    step(append(*journal, 5, 3, {4, 5}), {with(five, {1, 2, 3, 4, 5}, {{3, "a"}}), with(nine, {-7})});
    step(journal->snapshot_taken(5, 5, "b"), {with(five, {1, 2, 3, 4, 5}, {{3, "a"}, {5, "b"}}), with(nine, {-7})});
    step(append(*journal, 5, 4, {6}), {with(five, {1, 2, 3, 4, 6}, {{3, "a"}}), with(nine, {-7})});
    step(journal->close_session(9), {with(five, {1, 2, 3, 4, 6}, {{3, "a"}})});
    step(append(*journal, 5, 5, {8, 8}), {with(five, {1, 2, 3, 4, 6, 8, 8}, {{3, "a"}})});
    return steps;
  }
};

}  // namespace switchyard::test
