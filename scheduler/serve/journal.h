// Journal: the token logs of all open sessions on the disk, so that no token that was handed out is lost with the
// process. Hand a token out after append() said ok, and after open() nothing is missing.
//
// Format 1, all numbers little-endian:
//   file     char[8] "SWYDJRNL", u32 format, u32 low half of the checksum of those 12 bytes; then records
//   record   u32 0x9d52454a, u32 type, u32 bytes of the payload, u32 low half of the checksum of those 12 bytes;
//            the payload, which begins with u64 session; u64 checksum of the payload
//   1 open      parameters: text of the application's own, usually JSON
//   2 tokens    u64 at, i32 tokens: the log is cut to `at` tokens, then these are appended; so a log can also go back
//   3 snapshot  u64 length, name of the file: relative to the journal's folder, or absolute
//   4 close     -
// Checksums are XXH3, 64 bits, seeded with the record's offset in the file.
#pragma once
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "scheduler/serve/durable_file.h"
#include "scheduler/serve/snapshot.h"

namespace switchyard::scheduler {

struct JournalSession {
  struct SnapshotMark {
    std::uint64_t length = 0;  // of the log, when it was taken
    std::string file;
  };
  std::uint64_t id = 0;
  std::string parameters;
  std::vector<std::int32_t> tokens;
  std::vector<SnapshotMark> snapshots;  // at most two, the newest last: the older for when that is damaged
};

// A journal's content. What cannot be read at its end was being written when the process died.
struct JournalContent {
  std::vector<JournalSession> sessions;  // the open ones, by id
  std::uint64_t valid_bytes = 0;         // 0: not even its first 16 bytes were written
  std::uint64_t lost_bytes = 0;          // after them
  std::string lost;                      // what is wrong there; empty: nothing
};

// io: no journal, another format; a damaged record with whole ones after it, with its offset; a whole record that makes
// no sense after those before it. `cut_damage`: the former is no error, but everything from there on is lost.
hal::Result<JournalContent> read_journal(std::span<const std::byte> bytes, const std::string& name,
                                         bool cut_damage = false);

// The newest snapshot of a session that can be loaded and whose log is the beginning of the session's tokens; none: all
// are to be replayed. `passed_over` takes the reasons of newer ones, if not null.
std::optional<Snapshot> newest_snapshot(const JournalSession& session, const std::filesystem::path& folder,
                                        const SnapshotExpectation* expected = nullptr,
                                        std::vector<hal::Error>* passed_over = nullptr);

// When what was appended is brought to the disk (fdatasync). None is needed to outlive the process, however it ends;
// what they differ in is a crash of the system or a loss of power.
enum class Durability : std::uint8_t {
  process,   // never: the system writes when it likes; Linux after some 30 s
  interval,  // every JournalOptions::interval, by a thread of the journal's own: that much may be lost
  record     // before append() returns: nothing is lost; a step waits for the disk
};

struct JournalOptions {
  Durability durability = Durability::process;
  std::chrono::milliseconds interval{100};
  std::uint64_t compact_bytes = 16 << 20;  // rewritten when it is larger than this, and than twice what it needed last
  bool cut_damage = false;                 // as in read_journal
};

struct JournalAppend {
  std::uint64_t session = 0;
  std::uint64_t at = 0;  // the length that the log has before, or one that it goes back to
  std::span<const std::int32_t> tokens;
};

struct OpenedJournal;

// Any thread; calls wait for each other. After an error of writing, the journal is as before the call and may be tried
// again; after one of fdatasync, or where a half-written record cannot be cut off again, every call returns that error:
// close it, and open it again to see what there is.
class Journal {
 public:
  // Makes the file where there is none, cuts off what cannot be read at its end, and removes files in the making that
  // the dead left in its folder. unavailable: another process, or another Journal of this one, has it open. Other
  // errors as read_journal, or io.
  static hal::Result<OpenedJournal> open(const std::filesystem::path& path, const JournalOptions& options = {});
  ~Journal();  // brings it to the disk, but for Durability::process
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // invalid_argument, and nothing is written: a session that is open already or not at all, parameters above 1 MiB, a
  // file name that is empty or above 4096 bytes, `at` or `length` beyond the log's end.
  hal::Status open_session(std::uint64_t session, std::string_view parameters);
  hal::Status append(std::span<const JournalAppend> appends);  // of one step: in their order, by one write(2)
  // After save_snapshot. Of a session's snapshots the newest two are kept in mind; the files are the caller's to
  // remove.
  hal::Status snapshot_taken(std::uint64_t session, std::uint64_t length, const std::string& file);
  hal::Status close_session(std::uint64_t session);

  hal::Status flush();    // to the disk, now
  hal::Status compact();  // to a new file without what is closed or superseded, which then takes the place of this one
  std::uint64_t bytes() const;
  // Of the last compaction that append() and the others began by themselves and that failed; the journal goes on.
  std::optional<hal::Error> compaction_error() const;

 private:
  Journal(std::filesystem::path path, const JournalOptions& options, Descriptor file, const JournalContent& content);
  using Lock = std::unique_lock<std::mutex>;
  hal::Status usable(std::uint64_t session) const;
  hal::Status write(std::span<const std::byte> records, Lock& lock);
  hal::Status sync(Lock& lock);
  hal::Status compact(Lock& lock);
  void sync_in_turn(const std::stop_token& stop);

  const std::filesystem::path path_;
  const JournalOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Descriptor> file_;
  std::uint64_t end_;                               // of the file
  std::uint64_t compact_at_;                        // when it is that long
  std::map<std::uint64_t, std::uint64_t> lengths_;  // of the open sessions' logs
  std::optional<hal::Error> failed_, compaction_error_;
  bool dirty_ = true;  // since the last fdatasync; at first, as of what the dead appended
  std::condition_variable_any changed_;
  std::jthread flusher_;  // last: it uses the others
};

struct OpenedJournal {
  std::unique_ptr<Journal> journal;
  JournalContent content;
};

}  // namespace switchyard::scheduler
