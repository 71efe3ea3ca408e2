// What the writer and the reader of journals share; the format itself is told in journal.h. Internal.
#pragma once
#include <array>

#include "scheduler/serve/journal.h"

namespace switchyard::scheduler {

struct JournalFormat {
  enum class Type : std::uint32_t { open = 1, tokens, snapshot, close };
  static constexpr std::string_view magic = "SWYDJRNL";
  static constexpr std::uint32_t version = 1, marker = 0x9d52454a;
  static constexpr std::size_t begin_bytes = 16, head_bytes = 16, sum_bytes = 8;
  static constexpr std::size_t longest_parameters = 1 << 20, longest_name = 4096, most_tokens = 1 << 20;

  static std::array<std::byte, begin_bytes> begin();
};

// Records one behind the other, for one write.
class JournalRecords {
 public:
  // Lie from `offset` of the file on.
  explicit JournalRecords(std::uint64_t offset) : offset_(offset) {}
  void open(std::uint64_t session, std::string_view parameters);
  void tokens(std::uint64_t session, std::uint64_t at, std::span<const std::int32_t> tokens);  // one or more records
  void snapshot(std::uint64_t session, const JournalSession::SnapshotMark& mark);
  void close(std::uint64_t session);
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  void put(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void add(JournalFormat::Type type, std::span<const std::uint64_t> numbers, std::span<const std::byte> rest);
  std::uint64_t offset_;
  std::vector<std::byte> bytes_;
};

}  // namespace switchyard::scheduler
