#include "scheduler/serve/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "models/formats/text.h"
#include "scheduler/serve/journal_format.h"

namespace switchyard::scheduler {

using hal::Code;
using hal::Error;
using hal::Result;
using hal::Status;
using models::text;
using Format = JournalFormat;
using Span = std::span<const std::byte>;

std::array<std::byte, Format::begin_bytes> Format::begin() {
  std::array<std::byte, begin_bytes> bytes{};
  std::memcpy(bytes.data(), magic.data(), magic.size());
  std::memcpy(bytes.data() + magic.size(), &version, sizeof version);
  const auto sum = static_cast<std::uint32_t>(checksum(Span(bytes).first(12), 0));
  std::memcpy(bytes.data() + 12, &sum, sizeof sum);
  return bytes;
}

void JournalRecords::add(Format::Type type, std::span<const std::uint64_t> numbers, Span rest) {
  const std::uint64_t at = offset_ + bytes_.size();
  const std::array head{Format::marker, static_cast<std::uint32_t>(type),
                        static_cast<std::uint32_t>(numbers.size_bytes() + rest.size())};
  const auto head_sum = static_cast<std::uint32_t>(checksum(std::as_bytes(std::span(head)), at));
  put(std::as_bytes(std::span(head)));
  put(std::as_bytes(std::span(&head_sum, 1)));
  put(std::as_bytes(numbers));
  put(rest);
  const std::uint64_t sum = checksum(Span(bytes_).last(head[2]), at);
  put(std::as_bytes(std::span(&sum, 1)));
}
void JournalRecords::open(std::uint64_t session, std::string_view parameters) {
  add(Format::Type::open, {&session, 1}, std::as_bytes(std::span(parameters)));
}
void JournalRecords::tokens(std::uint64_t session, std::uint64_t at, std::span<const std::int32_t> tokens) {
  do {
    const auto some = tokens.first(std::min(tokens.size(), Format::most_tokens));
    add(Format::Type::tokens, std::array{session, at}, std::as_bytes(some));
    at += some.size();
    tokens = tokens.subspan(some.size());
  } while (!tokens.empty());
}
void JournalRecords::snapshot(std::uint64_t session, const JournalSession::SnapshotMark& mark) {
  add(Format::Type::snapshot, std::array{session, mark.length}, std::as_bytes(std::span(mark.file)));
}
void JournalRecords::close(std::uint64_t session) { add(Format::Type::close, {&session, 1}, {}); }

namespace {

// Opened and locked, and what `path` names still when it is.
Result<Descriptor> open_locked(const std::filesystem::path& path) {
  for (;;) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600));
    struct stat opened {
    }, named{};
    if (file.get() < 0 || ::fstat(file.get(), &opened) != 0) return file_error(path, "cannot be opened", errno);
    if (!S_ISREG(opened.st_mode)) return Error{Code::io, path.string() + ": is no regular file, no journal"};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return file_error(path, "cannot be locked", errno);
      return Error{Code::unavailable, path.string() +
                                          ": is open in another process or in another Journal of this one; "
                                          "close that one, or name another file"};
    }
    // Whoever had the lock may have put a compacted file in its place before it gave it up.
    if (::stat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev)
      return file;
  }
}

Result<std::vector<std::byte>> content_of(const Descriptor& file, std::uint64_t bytes,
                                          const std::filesystem::path& path) {
  std::vector<std::byte> all;
  try {
    all.resize(bytes);
  } catch (const std::exception&) {
    return Error{Code::out_of_memory, text(path.string(), ": no memory for its ", bytes, " bytes")};
  }
  HAL_CHECK(read_all(file, 0, all, path));
  return all;
}

}  // namespace

Result<OpenedJournal> Journal::open(const std::filesystem::path& given, const JournalOptions& options) {
  std::error_code failed;
  const std::filesystem::path path = std::filesystem::absolute(given, failed);  // the process may change its folder
  if (failed) return file_error(given, "cannot be opened", failed.value());
  HAL_TRY(Descriptor file, open_locked(path));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return file_error(path, "cannot be opened", errno);
  HAL_TRY(const auto bytes, content_of(file, static_cast<std::uint64_t>(info.st_size), path));
  HAL_TRY(JournalContent content, read_journal(bytes, path.string(), options.cut_damage));
  if (content.lost_bytes > 0 && ::ftruncate(file.get(), static_cast<off_t>(content.valid_bytes)) != 0)
    return file_error(path, "cannot be cut after its last whole record", errno);
  if (content.valid_bytes == 0) {
    HAL_CHECK(write_all(file, Format::begin(), path));
    content.valid_bytes = Format::begin_bytes;
    if (::fsync(file.get()) != 0) return file_error(path, "cannot be brought to the disk", errno);
    HAL_CHECK(sync_folder(folder_of(path)));
  }
  remove_unfinished(folder_of(path));
  std::unique_ptr<Journal> journal(new Journal(path, options, std::move(file), content));
  return OpenedJournal{std::move(journal), std::move(content)};
}

Journal::Journal(std::filesystem::path path, const JournalOptions& options, Descriptor file,
                 const JournalContent& content)
    : path_(std::move(path)),
      options_(options),
      file_(std::make_shared<const Descriptor>(std::move(file))),
      end_(content.valid_bytes),
      compact_at_(options.compact_bytes) {
  for (const JournalSession& s : content.sessions) lengths_[s.id] = s.tokens.size();
  if (options.durability == Durability::interval)
    flusher_ = std::jthread([this](const std::stop_token& stop) { sync_in_turn(stop); });
}

Journal::~Journal() {
  if (flusher_.joinable()) {
    flusher_.request_stop();
    flusher_.join();
  }
  if (options_.durability != Durability::process) (void)::fdatasync(file_->get());
}

Status Journal::usable(std::uint64_t session) const {
  if (failed_) return *failed_;
  if (lengths_.count(session)) return hal::ok();
  return Error{Code::invalid_argument, text(path_.string(), ": session ", session, " is not open")};
}

Status Journal::open_session(std::uint64_t session, std::string_view parameters) {
  Lock lock(mutex_);
  if (failed_) return *failed_;
  if (lengths_.count(session))
    return Error{Code::invalid_argument, text(path_.string(), ": session ", session, " is open already")};
  if (parameters.size() > Format::longest_parameters)
    return Error{Code::invalid_argument, text(path_.string(), ": parameters of ", parameters.size(), " bytes, at most ",
                                              Format::longest_parameters, " are kept")};
  JournalRecords records(end_);
  records.open(session, parameters);
  lengths_[session] = 0;
  auto written = write(records.bytes(), lock);
  if (!written) lengths_.erase(session);
  return written;
}

Status Journal::append(std::span<const JournalAppend> appends) {
  Lock lock(mutex_);
  JournalRecords records(end_);
  std::map<std::uint64_t, std::uint64_t> before;  // lengths, for when nothing was written
  auto append_each = [&]() -> Status {
    for (const JournalAppend& a : appends) {
      HAL_CHECK(usable(a.session));
      std::uint64_t& length = lengths_[a.session];
      if (a.at > length)
        return Error{Code::invalid_argument, text(path_.string(), ": tokens for position ", a.at, " of session ",
                                                  a.session, ", whose log has ", length)};
      before.emplace(a.session, length);
      length = a.at + a.tokens.size();
      records.tokens(a.session, a.at, a.tokens);
    }
    return write(records.bytes(), lock);
  };
  auto appended = append_each();
  if (!appended)
    for (const auto& [session, length] : before) lengths_[session] = length;
  return appended;
}

Status Journal::snapshot_taken(std::uint64_t session, std::uint64_t length, const std::string& file) {
  Lock lock(mutex_);
  HAL_CHECK(usable(session));
  if (file.empty() || file.size() > Format::longest_name || length > lengths_[session])
    return Error{
        Code::invalid_argument,
        text(path_.string(), ": a snapshot of ", length, " tokens in file ", models::printable(file), "; session ",
             session, " has ", lengths_[session], " tokens, and a file's name 1 to ", Format::longest_name, " bytes")};
  JournalRecords records(end_);
  records.snapshot(session, {length, file});
  return write(records.bytes(), lock);
}

Status Journal::close_session(std::uint64_t session) {
  Lock lock(mutex_);
  HAL_CHECK(usable(session));
  JournalRecords records(end_);
  records.close(session);
  HAL_CHECK(write(records.bytes(), lock));
  lengths_.erase(session);
  return hal::ok();
}

Status Journal::write(Span records, Lock& lock) {
  if (failed_) return *failed_;
  if (auto written = write_all(*file_, records, path_); !written) {
    // Half a record may be there; behind it nothing would be found again.
    if (::ftruncate(file_->get(), static_cast<off_t>(end_)) != 0) failed_ = written.error();
    return written;
  }
  end_ += records.size();
  if (end_ >= compact_at_) {
    compaction_error_.reset();
    if (auto done = compact(lock); !done) {
      compaction_error_ = done.error();
      compact_at_ = 2 * end_;  // and tries again then
    }
  }
  if (options_.durability == Durability::record) return sync(lock);
  if (!std::exchange(dirty_, true)) changed_.notify_all();
  return hal::ok();
}

Status Journal::sync(Lock& lock) {
  const auto file = file_;  // stays open when a compacted one takes its place; all that it holds is in that one then
  dirty_ = false;
  lock.unlock();
  const int failure = ::fdatasync(file->get()) == 0 ? 0 : errno;
  lock.lock();
  if (failure != 0 && !failed_) failed_ = file_error(path_, "cannot be brought to the disk", failure);
  return failed_ ? Status(*failed_) : hal::ok();
}

void Journal::sync_in_turn(const std::stop_token& stop) {
  Lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return dirty_; })) {
    changed_.wait_for(lock, stop, options_.interval, [] { return false; });
    (void)sync(lock);  // a failure is kept for the next call
  }
}

Status Journal::flush() {
  Lock lock(mutex_);
  return failed_ ? Status(*failed_) : sync(lock);
}

Status Journal::compact() {
  Lock lock(mutex_);
  return failed_ ? Status(*failed_) : compact(lock);
}

Status Journal::compact(Lock&) {
  HAL_TRY(const auto bytes, content_of(*file_, end_, path_));
  HAL_TRY(const JournalContent content, read_journal(bytes, path_.string()));
  if (content.lost_bytes > 0)
    return Error{Code::io, path_.string() + ": was whole and is no longer, so it is not compacted: " + content.lost};
  JournalRecords records(Format::begin_bytes);
  for (const JournalSession& s : content.sessions) {
    records.open(s.id, s.parameters);
    records.tokens(s.id, 0, s.tokens);
    for (const auto& mark : s.snapshots) records.snapshot(s.id, mark);
  }
  HAL_TRY(NewFile file, NewFile::create(path_));
  HAL_CHECK(file.write(Format::begin()));
  HAL_CHECK(file.write(records.bytes()));
  Status committed = file.commit();
  if (!file.renamed()) return committed;
  file_ = std::make_shared<const Descriptor>(std::move(file).take());
  end_ = Format::begin_bytes + records.bytes().size();
  compact_at_ = std::max(options_.compact_bytes, 2 * end_);
  return committed;
}

std::uint64_t Journal::bytes() const {
  Lock lock(mutex_);
  return end_;
}

std::optional<Error> Journal::compaction_error() const {
  Lock lock(mutex_);
  return compaction_error_;
}

}  // namespace switchyard::scheduler
