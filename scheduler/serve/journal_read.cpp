// Reading journals: what is whole, what was cut off, what is damaged.
#include <algorithm>
#include <cstring>

#include "models/formats/text.h"
#include "scheduler/serve/journal_format.h"

namespace switchyard::scheduler {
namespace {

using hal::Code;
using hal::Error;
using hal::Result;
using hal::Status;
using models::text;
using Format = JournalFormat;
using Span = std::span<const std::byte>;

template <class T>
T number_at(Span bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Record {
  Format::Type type{};
  Span payload;
  std::size_t bytes = 0;  // with head and checksum
};

// The record at `at`, or what is wrong with it.
Result<Record> record_at(Span bytes, std::size_t at) {
  const Span rest = bytes.subspan(at);
  if (rest.size() < Format::head_bytes) return Error{Code::io, text("ends after ", rest.size(), " bytes of its head")};
  if (number_at<std::uint32_t>(rest, 0) != Format::marker ||
      number_at<std::uint32_t>(rest, 12) != static_cast<std::uint32_t>(checksum(rest.first(12), at)))
    return Error{Code::io, "has a damaged head"};
  const auto payload = number_at<std::uint32_t>(rest, 8);
  const std::size_t all = Format::head_bytes + payload + Format::sum_bytes;
  if (rest.size() < all) return Error{Code::io, text("ends after ", rest.size(), " of its ", all, " bytes")};
  Record record{number_at<Format::Type>(rest, 4), rest.subspan(Format::head_bytes, payload), all};
  if (number_at<std::uint64_t>(rest, all - Format::sum_bytes) != checksum(record.payload, at))
    return Error{Code::io, "has a damaged payload"};
  return record;
}

// The offset of the first whole record from `at` on; the end, if there is none.
std::size_t whole_record_after(Span bytes, std::size_t at) {
  for (; at + Format::head_bytes + Format::sum_bytes <= bytes.size(); ++at)
    if (number_at<std::uint32_t>(bytes, at) == Format::marker && record_at(bytes, at)) return at;
  return bytes.size();
}

std::string characters(Span bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The open sessions after each record, in turn.
class Replay {
 public:
  // io: it makes no sense after those before it.
  Status apply(const Record& r) {
    if (r.payload.size() < 8) return nonsense("it names no session");
    const auto id = number_at<std::uint64_t>(r.payload, 0);
    const Span rest = r.payload.subspan(8);
    const auto found = sessions_.find(id);
    const std::string session = "session " + std::to_string(id);
    if (r.type == Format::Type::open) {
      if (found != sessions_.end()) return nonsense("it opens " + session + ", which is open");
      sessions_[id] = {id, characters(rest), {}, {}};
      return hal::ok();
    }
    if (found == sessions_.end()) return nonsense("it is of " + session + ", which is not open");
    switch (r.type) {
      case Format::Type::tokens: return tokens(found->second, rest);
      case Format::Type::snapshot: return snapshot(found->second, rest);
      case Format::Type::close: sessions_.erase(found); return hal::ok();
      default: return nonsense(text("this build does not know its type, ", static_cast<std::uint32_t>(r.type)));
    }
  }
  std::vector<JournalSession> take() {
    std::vector<JournalSession> all;
    for (auto& [id, session] : sessions_) all.push_back(std::move(session));
    return all;
  }

 private:
  static Error nonsense(const std::string& why) { return Error{Code::io, why}; }

  static Status tokens(JournalSession& s, Span rest) {
    if (rest.size() < 8 || rest.size() % sizeof(std::int32_t) != 0)
      return nonsense(text("its ", rest.size(), " bytes are no position and tokens"));
    const auto at = number_at<std::uint64_t>(rest, 0);
    if (at > s.tokens.size()) return nonsense(text("it appends at ", at, " to a log of ", s.tokens.size(), " tokens"));
    const Span tokens = rest.subspan(8);
    s.tokens.resize(at + tokens.size() / sizeof(std::int32_t));
    if (!tokens.empty()) std::memcpy(s.tokens.data() + at, tokens.data(), tokens.size());
    std::erase_if(s.snapshots, [&](const auto& mark) { return mark.length > at; });
    return hal::ok();
  }
  static Status snapshot(JournalSession& s, Span rest) {
    if (rest.size() <= 8) return nonsense("it names no file");
    JournalSession::SnapshotMark mark{number_at<std::uint64_t>(rest, 0), characters(rest.subspan(8))};
    if (mark.length > s.tokens.size())
      return nonsense(text("its snapshot is of ", mark.length, " tokens, the log has ", s.tokens.size()));
    s.snapshots.push_back(std::move(mark));
    if (s.snapshots.size() > 2) s.snapshots.erase(s.snapshots.begin());
    return hal::ok();
  }

  std::map<std::uint64_t, JournalSession> sessions_;
};

Status check_begin(Span bytes, const std::string& name) {
  const std::size_t magic = Format::magic.size();
  if (bytes.size() < magic || std::memcmp(bytes.data(), Format::magic.data(), magic) != 0)
    return Error{Code::io, text(name, ": is no journal: it begins with ",
                                models::printable(characters(bytes.first(std::min(bytes.size(), magic)))),
                                ", not with '", Format::magic, "'")};
  if (bytes.size() >= magic + 4 && number_at<std::uint32_t>(bytes, magic) != Format::version)
    return Error{Code::io, text(name, ": is a journal of format ", number_at<std::uint32_t>(bytes, magic),
                                ", this build reads format ", Format::version)};
  return Error{Code::io, text(name, ": is damaged: the checksum of its first 12 bytes is wrong")};
}

}  // namespace

Result<JournalContent> read_journal(Span bytes, const std::string& name, bool cut_damage) {
  const auto begin = Format::begin();
  const std::size_t compared = std::min(bytes.size(), begin.size());
  if (compared > 0 && std::memcmp(bytes.data(), begin.data(), compared) != 0) return check_begin(bytes, name).error();
  JournalContent content;
  if (compared < begin.size()) {
    content.lost_bytes = compared;
    if (compared > 0) content.lost = text("it ends after ", compared, " bytes of its head");
    return content;
  }
  Replay replay;
  std::size_t at = begin.size();
  while (at < bytes.size()) {
    const auto record = record_at(bytes, at);
    if (!record) {
      content.lost = text("the record at byte ", at, " ", record.error().message);
      const std::size_t next = whole_record_after(bytes, at + 1);
      if (next == bytes.size() || cut_damage) break;
      return Error{Code::io, text(name, ": is damaged: ", content.lost, ", and there are whole ones from byte ", next,
                                  " on; with cut_damage it is cut there, and ", bytes.size() - at, " bytes are lost")};
    }
    if (auto applied = replay.apply(*record); !applied)
      return Error{Code::io, text(name, ": the record at byte ", at, " is whole but makes no sense after those before ",
                                  "it: ", applied.error().message)};
    at += record->bytes;
  }
  content.sessions = replay.take();
  content.valid_bytes = at;
  content.lost_bytes = bytes.size() - at;
  return content;
}

std::optional<Snapshot> newest_snapshot(const JournalSession& session, const std::filesystem::path& folder,
                                        const SnapshotExpectation* expected, std::vector<Error>* passed_over) {
  for (auto mark = session.snapshots.rbegin(); mark != session.snapshots.rend(); ++mark) {
    auto loaded = load_snapshot(folder / mark->file, expected);
    Error why{Code::io, ""};
    if (!loaded) {
      why = loaded.error();
    } else {
      const std::vector<std::int32_t>& log = loaded->state.log;
      if (log.size() == mark->length && std::equal(log.begin(), log.end(), session.tokens.begin()))
        return std::move(loaded).value();
      why.message = text((folder / mark->file).string(), ": its log of ", log.size(), " tokens is not the first ",
                         mark->length, " of session ", session.id);
    }
    if (passed_over) passed_over->push_back(std::move(why));
  }
  return std::nullopt;
}

}  // namespace switchyard::scheduler
