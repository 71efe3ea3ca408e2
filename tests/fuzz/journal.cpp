// Input: a journal; read as it is, and once more with the checksums of its records made right.
#include <algorithm>
#include <cstring>

#include "scheduler/serve/journal_format.h"

namespace switchyard::scheduler {
namespace {

using Bytes = std::vector<std::byte>;
using Format = JournalFormat;

// Records of type 0xff... stay as they are, so that there is damage between whole ones too.
void seal(Bytes& b) {
  const auto begin = Format::begin();
  if (b.size() < begin.size()) return;
  std::copy(begin.begin(), begin.end(), b.begin());
  std::size_t at = begin.size();
  while (b.size() - at >= Format::head_bytes + Format::sum_bytes) {
    std::uint32_t payload = 0;
    std::memcpy(&payload, b.data() + at + 8, 4);
    payload %= std::min<std::size_t>(256, b.size() - at - Format::head_bytes - Format::sum_bytes + 1);
    std::memcpy(b.data() + at, &Format::marker, 4);
    std::memcpy(b.data() + at + 8, &payload, 4);
    const auto head_sum = static_cast<std::uint32_t>(checksum(std::span(b).subspan(at, 12), at));
    const std::uint64_t sum = checksum(std::span(b).subspan(at + Format::head_bytes, payload), at);
    if (b[at + 4] != std::byte{0xff}) {
      std::memcpy(b.data() + at + 12, &head_sum, 4);
      std::memcpy(b.data() + at + Format::head_bytes + payload, &sum, 8);
    }
    at += Format::head_bytes + payload + Format::sum_bytes;
  }
}

bool equal(const JournalSession& a, const JournalSession& b) {
  auto same = [](const auto& x, const auto& y) { return x.length == y.length && x.file == y.file; };
  return a.id == b.id && a.parameters == b.parameters && a.tokens == b.tokens &&
         std::equal(a.snapshots.begin(), a.snapshots.end(), b.snapshots.begin(), b.snapshots.end(), same);
}

void read(const Bytes& bytes, bool cut_damage) {
  const auto content = read_journal(bytes, "fuzz", cut_damage);
  if (!content) {
    if (content.error().code != hal::Code::io || content.error().message.rfind("fuzz: ", 0) != 0) __builtin_trap();
    return;
  }
  if (content->valid_bytes + content->lost_bytes != bytes.size()) __builtin_trap();
  if (content->lost.empty() != (content->lost_bytes == 0)) __builtin_trap();
  // What a compaction makes of it is the same.
  JournalRecords records(Format::begin_bytes);
  for (const JournalSession& s : content->sessions) {
    records.open(s.id, s.parameters);
    records.tokens(s.id, 0, s.tokens);
    for (const auto& mark : s.snapshots) {
      if (mark.length > s.tokens.size()) __builtin_trap();
      records.snapshot(s.id, mark);
    }
  }
  const auto begin = Format::begin();
  Bytes compacted(begin.begin(), begin.end());
  compacted.insert(compacted.end(), records.bytes().begin(), records.bytes().end());
  const auto again = read_journal(compacted, "fuzz");
  if (!again || again->lost_bytes != 0 || again->sessions.size() != content->sessions.size()) __builtin_trap();
  for (std::size_t i = 0; i < again->sessions.size(); ++i)
    if (!equal(again->sessions[i], content->sessions[i])) __builtin_trap();
}

}  // namespace
}  // namespace switchyard::scheduler

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace switchyard::scheduler;
  const auto* first = reinterpret_cast<const std::byte*>(data);
  Bytes bytes(first, first + size);
  read(bytes, false);
  seal(bytes);
  read(bytes, false);
  read(bytes, true);
  return 0;
}
